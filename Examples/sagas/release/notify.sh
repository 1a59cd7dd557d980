# notify.sh VERSION FAIL: tells each reader once, however often it runs: the key says what was told.
# With FAIL it works at the third attempt.
set -e
[ "$2" != notify ] || [ "$AGT_ATTEMPT" -ge 3 ] || { echo "the server is busy" >&2; exit 75; }
grep -qs "^$AGT_IDEMPOTENCY_KEY " told || echo "$AGT_IDEMPOTENCY_KEY version $1 is out" >>told
