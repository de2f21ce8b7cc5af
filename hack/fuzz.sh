#!/usr/bin/env bash
# fuzz.sh DURATION — runs every native fuzz target of the module, one after
# another, each for DURATION. Fails on the first finding; Go has written the
# failing input to the package's testdata/fuzz by then.
set -euo pipefail
time=${1:-30s}
count=0
while IFS=: read -r file target; do
  dir=./$(dirname "$file")
  echo "fuzz $dir $target ($time)"
  go test "$dir" -run '^$' -fuzz "^$target\$" -fuzztime "$time" | grep -vE '^fuzz: elapsed: .*(gathering baseline|[0-9]s, execs)' || { exit 1; }
  count=$((count + 1))
done < <(git ls-files --cached --others --exclude-standard '*_test.go' | sort \
  | xargs grep -HoE '^func Fuzz[A-Za-z0-9_]*' | sed 's/:func /:/')
[ "$count" -gt 0 ] || { echo "no fuzz target found"; exit 1; }
echo "fuzz: $count targets, $time each, no finding"
