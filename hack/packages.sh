#!/usr/bin/env bash
# packages.sh KIND [PATTERN…] — lists packages of this module (./... if no
# pattern is given):
#   standalone  those whose tests need no control plane
#   cluster     those whose tests start one where CLARITY_CONTROLPLANE asks for it
#   touched     those with changes that main does not have, committed or not; BASE names another commit
#   affected    those and all that depend on them, by their tests' imports, too,
#               or whose tests read a file that changed
#   reads       the table of who reads what is not theirs, a line a place
#   readers     those whose tests read a file of FILES (in the environment) that is not theirs
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

# reads says whose tests read what lies outside their package: a file or folder
# and the packages. A test in internal/house, which reads everything and is run
# with every change like ./services, holds that a test that does so is listed.
reads() {
  cat <<'END'
.dockerignore charts
Dockerfile charts hack/images
Makefile cmd/clarity
README.md cmd/clarity
api/traffic controllers/internal/opmetrics
api/v1alpha1 cmd/kubectl-clarity/internal/why controllers/internal/opmetrics
cmd charts
cmd/ingress cmd/clarity
config api/v1alpha1 charts cmd/kubectl-clarity controllers/internal/opmetrics hack/signals internal/emulated
config/firestore services/store/firestore
config/gcs services/audit/gcs services/blob/gcs
config/pubsub services/queue/pubsub
docs/analysis services/metric/catalog
docs/api api/v1alpha1 charts services/health/catalog services/ingress
docs/operations charts cmd/kubectl-clarity controllers/internal/opmetrics
hack/emulators cmd cmd/clarity hack/emulators/authd internal/emulated services/audit/gcs services/blob/gcs services/model/artifact/gcs services/queue/pubsub services/store/firestore
hack/gcloud.sh internal/emulated
hack/peers services/model/triton
hack/tools charts
services/model/internal/hdf5/testdata services/model/pat
services/queue/sqlite/testdata cmd/clarity
END
}

# changed prints the files that main has otherwise or not.
changed() {
  local base
  base=${BASE:-$(git merge-base HEAD main 2>/dev/null || git merge-base HEAD origin/main 2>/dev/null || git rev-parse HEAD)}
  { git diff --name-only "$base"; git ls-files --others --exclude-standard; } | sort -u
}

# readers prints the packages that read one of the files on standard input.
readers() {
  awk '
    NR == FNR {for (i = 2; i <= NF; i++) by[$1] = by[$1] " " $i; next}
    {for (place in by) if ($0 == place || index($0, place "/") == 1) print by[place]}
  ' <(reads) - | tr ' ' '\n' | sed -n "s|^.|$module/&|p" | sort -u | comm -12 - <(go list "$@" | sort)
}

# touched prints the packages with changes. A file that is no Go belongs to the
# nearest package above it; go.mod is everybody's.
touched() {
  local file dir
  changed | while read -r file; do
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
  reads) reads ;;
  readers) printf '%s\n' ${FILES:?names the files} | readers "$@" ;;
  affected)
    {
      { touched "$@" | sed 's/^/touched /'; depends "$@"; } |
        awk '$1 == "touched" {touched[$2]; next} $2 in touched {print $1}'
      changed | readers "$@"
    } | sort -u
    ;;
  *) echo "packages.sh: no kind $kind" >&2; exit 2 ;;
esac
