# A database with users in it, a program, and the repository that users fetch from.
set -e
/usr/bin/python3 migrate.py create
git init -q --bare remote.git
mkdir -p source
echo 'print("hello")' >source/app.py
