#!/usr/bin/env bash
# watch.sh WHAT COMMAND… — runs a command that may take minutes and says on
# standard error that it does: at once what is being done, after ten seconds
# and then every minute how long it has taken and what is compiled, linked or
# tested at that moment. Ends as the command ends; nothing is printed after it.
set -euo pipefail
what=$1; shift

# now names what the descendants of a process are busy with.
now() {
  ps -axo pid=,ppid=,args= | awk -v root="$1" '
    {parent[$1] = $2; id[NR] = $1; line[NR] = $0}
    function ours(p) {while (p > 1) {if (p == root) return 1; p = parent[p]} return 0}
    END {
      for (i = 1; i <= NR; i++) {
        if (!ours(id[i])) continue
        n = split(line[i], a, " ")
        doing = ""
        if (a[3] ~ /\/compile$/) {for (j = 4; j < n; j++) if (a[j] == "-p") doing = "compiling " a[j+1]}
        else if (a[3] ~ /\/link$/) {for (j = 4; j < n; j++) if (a[j] == "-o") doing = "linking " a[j+1]; sub(/[^ ]*\//, "", doing)}
        else if (a[3] ~ /\.test$/) {doing = "testing " a[3]; sub(/[^ ]*\//, "", doing)}
        if (doing != "" && !(doing in seen)) {seen[doing]; all = all ", " doing}
      }
      print substr(all, 3)
    }'
}

heartbeat() {
  local waited=$FIRST of
  sleep "$FIRST"
  while kill -0 "$1" 2>/dev/null; do
    of=$(now "$1") || of=
    printf '    %s, %dm%02ds: %s\n' "$what" $((waited / 60)) $((waited % 60)) "${of:-downloading, or waiting}" >&2
    sleep $((60 - waited % 60))
    waited=$((waited + 60 - waited % 60))
  done
}

echo "==> $what" >&2
FIRST=${FIRST:-10} # seconds
set -m # a process group of its own: its sleep ends with it
heartbeat $$ & beat=$!
set +m
trap 'kill -- "-$beat" 2>/dev/null || true' EXIT
"$@"
