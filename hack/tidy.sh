#!/usr/bin/env bash
# tidy.sh — tidies every go.mod of the repository. Whoever wants to know whether
# one was untidy looks at the diff, as hack/verify.sh does.
set -euo pipefail
cd "$(dirname "$0")/.."
git ls-files --cached --others --exclude-standard 'go.mod' '*/go.mod' | while read -r file; do
  (cd "$(dirname "$file")" && GOFLAGS=-mod=mod "$OLDPWD/hack/watch.sh" "tidying $file" go mod tidy)
done
