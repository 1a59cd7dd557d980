# build.sh VERSION FAIL
set -e
mkdir -p dist
{ echo "# version $1"; cat source/app.py; } >dist/app.py
[ "$2" != build ] || { echo "the build is broken" >&2; exit 1; }
sha256sum <dist/app.py | cut -d' ' -f1 >dist/digest
