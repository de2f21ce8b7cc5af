#!/usr/bin/env bash
# quick.sh — what a change must pass before it is shown to anybody: its files are
# formatted, what it touches is linted, what depends on it vetted and tested. The
# change is what main does not have, committed or not; BASE names another commit.
# No control plane is built or started, slow tests are left to `make test`. The
# shape of the whole is looked at whatever changed: who imports whom, pages, sizes.
set -euo pipefail
cd "$(dirname "$0")/.."
export CLARITY_CONTROLPLANE=
whole=(./services ./internal/house)
step() { printf '==> %s\n' "$1"; shift; "$@" || { echo "quick: stopped there, after $SECONDS s" >&2; exit 1; }; }

unformatted() { ! { git ls-files --cached --others --exclude-standard '*.go' | xargs ls 2>/dev/null | xargs gofmt -l | grep .; }; }
step "gofmt (make fmt formats what is listed)" unformatted
mapfile -t touched < <(hack/packages.sh touched)
mapfile -t affected < <(hack/packages.sh affected)
if [ ${#touched[@]} -gt 0 ]; then
  step "go vet, ${#affected[@]} packages" go vet "${affected[@]}"
  lint=$(hack/tools/tool golangci-lint-kube-api-linter)
  step "golangci-lint, ${#touched[@]} packages" "$lint" run --allow-parallel-runners "${touched[@]/#$(go list -m)/.}"
fi
run() { go test -short -vet=off -timeout 5m "$@" | { grep -v 'no test files' || true; }; }
step "go test, ${#affected[@]} packages" run "${affected[@]}" "${whole[@]}"
echo "quick: passed in $SECONDS s"
