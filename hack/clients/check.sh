#!/usr/bin/env bash
# check.sh — makes a TypeScript and a Kotlin client of docs/api/openapi.json and
# compiles each with what an app does with it. Needs npm and Maven with a JDK; what
# they fetch is pinned beside this file and kept in the cache.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/hack/clients
document=$root/docs/api/openapi.json
cache=${XDG_CACHE_HOME:-$HOME/.cache}/clarity/clients
for tool in npm mvn; do
  command -v "$tool" >/dev/null || { echo "make check-clients needs $tool in PATH"; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "== TypeScript"
key=$(sha256sum <"$here/typescript/package-lock.json" | cut -c1-16)
tools=$cache/typescript/$key
if [ ! -f "$tools/ready" ]; then
  rm -rf "$tools"; mkdir -p "$tools"
  cp "$here/typescript/package.json" "$here/typescript/package-lock.json" "$tools/"
  (cd "$tools" && npm ci --no-audit --no-fund --silent)
  touch "$tools/ready"
fi
cp "$here/typescript/use.ts" "$work/"
"$tools/node_modules/.bin/openapi-typescript" "$document" -o "$work/api.d.ts"
"$tools/node_modules/.bin/tsc" --strict --noEmit --target es2022 --module esnext --moduleResolution bundler "$work/use.ts"

echo "== Kotlin"
(cd "$here/kotlin" && mvn -q -B -Dmaven.repo.local="$cache/maven" -Dout="$work/kotlin" -Ddocument="$document" compile) >"$work/maven.log" 2>&1 ||
  { grep -v '^#' "$work/maven.log"; exit 1; }
[ -f "$work/kotlin/classes/app/UseKt.class" ] || { echo "nothing was compiled"; exit 1; }
echo "check-clients: passed"
