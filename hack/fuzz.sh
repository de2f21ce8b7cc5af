#!/usr/bin/env bash
# fuzz.sh DURATION — runs every native fuzz target of the module for DURATION,
# two at a time, each on half of the cores: while one is built the other runs.
# Fails if one finds something; Go has written the failing input to the
# package's testdata/fuzz by then. That the time was over while an input was
# being tried is no finding, though Go ends with an error ("context deadline
# exceeded") now and then when it was.
set -euo pipefail
export FUZZTIME=${1:-30s} WORKERS=$(( ($(getconf _NPROCESSORS_ONLN) + 1) / 2 ))

ended() { grep -qx ' *context deadline exceeded' <<<"$out" && ! grep -q 'Failing input written' <<<"$out"; }

one() {
  local dir=./${1%/*} target=${1##*:} out
  out=$(go test "$dir" -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZTIME" -parallel "$WORKERS" 2>&1) || ended || { printf 'fuzz %s %s\n%s\n' "$dir" "$target" "$out"; return 1; }
  printf 'fuzz %s %s: %s\n' "$dir" "$target" "$(grep -o 'execs: [0-9]*' <<<"$out" | tail -n 1)"
}
export -f one ended

targets=$(git ls-files --cached --others --exclude-standard '*_test.go' | sort | xargs grep -HoE '^func Fuzz[A-Za-z0-9_]*' | sed 's/:func /:/')
[ -n "$targets" ] || { echo "no fuzz target found"; exit 1; }
xargs -P 2 -I {} bash -c 'one {}' <<<"$targets"
echo "fuzz: $(wc -l <<<"$targets") targets, $FUZZTIME each, no finding"
