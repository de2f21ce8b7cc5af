#!/usr/bin/env bash
# verify.sh — regenerates what is generated, formats every file and tidies every
# go.mod, and fails where that changed anything. It does so in the working tree
# and leaves there what it wrote: commit that. Changes of yours that it does not
# touch may be there before and are no fault.
set -euo pipefail
cd "$(dirname "$0")/.."
state() { git status --porcelain; git diff | sha256sum; git ls-files --others --exclude-standard | xargs -r sha256sum; }
before=$(state)
make --no-print-directory generate fmt tidy
if [ "$before" != "$(state)" ]; then
  git --no-pager diff --stat
  echo "verify: something was not as it is generated, formatted or tidied; commit what changed" >&2
  exit 1
fi
echo "verify: everything generated is up to date, formatted and tidy"
