#!/usr/bin/env bash
# sim.sh SEEDS FROM — runs so many seeds of the simulator from one on, a process a
# CPU, and prints the first that fails, how to run it again, and seeds a second.
# sim.sh SEED seed — runs one seed and prints its trace.
set -euo pipefail
cd "$(dirname "$0")/.."
seeds=$1 from=$2
export CGO_ENABLED=0
mkdir -p .cache
program=$PWD/.cache/sim.test
hack/watch.sh "compiling the simulator" go test -trimpath -c -o "$program" ./internal/sim
cd internal/sim
if [ "$from" = seed ]; then
  SEED=$seeds exec "$program" -test.run '^TestSeed$' -test.v
fi
n=$(getconf _NPROCESSORS_ONLN)
[ "$seeds" -ge "$n" ] || n=1
pids=()
for ((i = 0; i < n; i++)); do
  first=$((from + seeds * i / n)) next=$((from + seeds * (i + 1) / n))
  FROM=$first SEEDS=$((next - first)) "$program" -test.run '^TestSeeds$' -test.v -test.timeout 0 >"$program.$i" 2>&1 &
  pids+=($!)
done
status=0
for i in "${!pids[@]}"; do
  wait "${pids[$i]}" || status=1
  grep -E 'sim_test.go|panic|fatal' "$program.$i" | sed -E 's/^ *sim_test.go:[0-9]+: //' || cat "$program.$i"
done
exit $status
