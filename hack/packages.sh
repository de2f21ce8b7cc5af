#!/usr/bin/env bash
# packages.sh KIND [PATTERN…] — lists packages of this module (./... if no
# pattern is given):
#   standalone  those whose tests need no control plane
#   cluster     those whose tests start one where CLARITY_CONTROLPLANE asks for it
#   touched     those with changes that main does not have, committed or not; BASE names another commit
#   affected    those and all that depend on them, by their tests' imports, too
set -euo pipefail
export LC_ALL=C # one order for sort and comm
kind=$1; shift
[ $# -gt 0 ] || set -- ./...
module=$(go list -m)
lab=$module/internal/kubelab/kube

# depends prints "PACKAGE DEPENDENCY", a line each; what its tests import counts as its own.
depends() {
  go list -test -f '{{.ImportPath}} {{join .Deps " "}}' "$@" |
    awk '$2 !~ /^\[/ {sub(/\.test$/, "", $1); print $1, $1; for (i = 2; i <= NF; i++) if ($i !~ /^\[/) print $1, $i}'
}

# touched prints the packages with changes. A file that is no Go belongs to the
# nearest package above it; go.mod is everybody's.
touched() {
  local base file dir
  base=${BASE:-$(git merge-base HEAD main 2>/dev/null || git merge-base HEAD origin/main 2>/dev/null || git rev-parse HEAD)}
  { git diff --name-only "$base"; git ls-files --others --exclude-standard; } | sort -u | while read -r file; do
    case $file in go.mod | go.sum) go list "$@"; continue ;; esac
    dir=$(dirname "$file")
    until [ "$dir" = . ] || compgen -G "$dir/*.go" >/dev/null; do dir=$(dirname "$dir"); done
    [ "$dir" = . ] || echo "$module/$dir"
  done | sort -u | comm -12 - <(go list "$@" | sort)
}

case $kind in
  standalone) comm -23 <(go list "$@" | sort) <("$0" cluster "$@") ;;
  cluster) depends "$@" | awk -v lab="$lab" '$2 == lab {print $1}' | sort -u ;;
  touched) touched "$@" ;;
  affected)
    { touched "$@" | sed 's/^/touched /'; depends "$@"; } |
      awk '$1 == "touched" {touched[$2]; next} $2 in touched {print $1}' | sort -u
    ;;
  *) echo "packages.sh: no kind $kind" >&2; exit 2 ;;
esac
