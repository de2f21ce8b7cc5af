#!/usr/bin/env bash
# verify.sh — regenerates everything that is generated and fails where the
# tree would change. Works on a copy of the listing, not on the working tree's state.
set -euo pipefail
before=$(git status --porcelain; git diff | sha256sum)
make --no-print-directory generate
go mod tidy
gofmt -w cmd services
after=$(git status --porcelain; git diff | sha256sum)
if [ "$before" != "$after" ]; then
  git --no-pager diff --stat
  echo "verify: generated files were out of date; commit what changed" >&2
  exit 1
fi
echo "verify: everything generated is up to date"
