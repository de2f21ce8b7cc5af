#!/usr/bin/env bash
# check.sh — holds the running platform against its own OpenAPI document:
# a linter reads it, then schemathesis sends what it describes (and what it
# forbids) to `clarity up` and checks every reply. Needs Node and Python; what
# they run is pinned beside this file and installed once into the cache.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/hack/api
key=$(cat "$here/package-lock.json" "$here/requirements.txt" | sha256sum | cut -c1-16)
tools=${XDG_CACHE_HOME:-$HOME/.cache}/clarity/api/$key
if [ ! -f "$tools/ready" ]; then
  echo "installing the API checkers (once; into $tools)"
  rm -rf "$tools"; mkdir -p "$tools"
  cp "$here/package.json" "$here/package-lock.json" "$tools/"
  (cd "$tools" && npm ci --no-audit --no-fund --silent)
  python3 -m venv "$tools/venv"
  "$tools/venv/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt"
  touch "$tools/ready"
fi

work=$(mktemp -d)
server=
stop() {
  if [ -n "$server" ] && kill -0 "$server" 2>/dev/null; then kill -INT "$server"; wait "$server" || true; fi
  rm -rf "$work"
}
trap stop EXIT

echo "== lint: docs/api/openapi.json"
(cd "$here" && "$tools/node_modules/.bin/redocly" lint --config "$here/redocly.yaml" "$root/docs/api/openapi.json")

echo "== schemathesis: every operation of clarity up"
"$root/bin/clarity" up --data "$work/data" --listen 127.0.0.1:0 --unlimited >"$work/out" 2>"$work/log" &
server=$!
for _ in $(seq 100); do grep -q '^ready ' "$work/out" && break; sleep 0.1; done
url=$(sed -n 's/^ready //p' "$work/out" | head -1)
[ -n "$url" ] || { echo "clarity up did not start:"; cat "$work/log"; exit 1; }

# check USER ARGUMENT... runs schemathesis as the user.
check() {
  local token
  token=$("$root/bin/clarity" token --data "$work/data" --user "$1"); shift
  (cd "$work" && "$tools/venv/bin/schemathesis" --config-file "$here/schemathesis.toml" run "$url/openapi.json" \
    --header "Authorization: Bearer $token" --seed "${SEED:-1}" --max-examples "${EXAMPLES:-20}" "$@") || {
      echo "== the server's log, last lines"; tail -20 "$work/log"; exit 1; }
}

python3 "$here/seed.py" >"$work/week.json"
"$root/bin/clarity" upload "$work/week.json" --data "$work/data" --user api-check --wait
# Withdrawing consent and erasing the account would close every other door: they are walked last, as other people.
check api-check --exclude-operation-id eraseAccount --exclude-operation-id putConsent
check api-check-withdraws --include-operation-id putConsent
check api-check-leaves --include-operation-id eraseAccount
kill -0 "$server" || { echo "the server died:"; tail -20 "$work/log"; exit 1; }
if grep -E 'panic|level=ERROR|"level":"ERROR"' "$work/log"; then echo "the server logged an error"; exit 1; fi
echo "check-api: passed"
