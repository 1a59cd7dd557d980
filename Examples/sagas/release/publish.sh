# publish.sh VERSION DIGEST FAIL: one push, which happens or does not.
set -e
[ "$3" != publish ] || { echo "the server refuses" >&2; exit 1; }
echo "$2  dist/app.py" | sha256sum -c --quiet
cd "$(mktemp -d)"
git init -q .
cp "$OLDPWD/dist/app.py" .
git add app.py
git -c user.name=release -c user.email=release@example.org commit -q -m "$AGT_IDEMPOTENCY_KEY"
git tag "v$1"
git push -q --atomic "$OLDPWD/remote.git" "HEAD:refs/heads/v$1-line" "v$1"
