#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Boot cost against the floor, in turns, so that a machine whose speed drifts
# hits both alike: CPU seconds of the QEMU process to the agent's hello
# (BenchmarkBoot in harness) over those of the plain way (BenchmarkFloor in
# harness/vm), pair by pair.
# Usage: docs/bench/boot.sh [PAIRS]     SWITCHYARD_QEMU and SWITCHYARD_ACCEL count.
set -euo pipefail
cd "$(dirname "$0")/../.."
pairs=${1:-8}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go test -c -o "$work/floor" ./harness/vm
go test -c -o "$work/boot" ./harness
one() { # PACKAGE BINARY BENCHMARK/KERNEL -> cpu-s
  (cd "$1" && "$2" -test.run '^$' -test.bench "$3" -test.benchtime 1x) |
    awk '/cpu-s\/op/ { for (i = 2; i <= NF; i++) if ($i == "cpu-s/op") print $(i - 1) }'
}
for kernel in 6.1 6.12; do
  for _ in $(seq "$pairs"); do
    floor=$(one harness/vm "$work/floor" "^BenchmarkFloor\$/^$kernel\$")
    boot=$(one harness "$work/boot" "^BenchmarkBoot\$/^$kernel\$")
    printf '%s %s %s\n' "$floor" "$boot" "$(awk -v b="$boot" -v f="$floor" 'BEGIN { printf "%.3f", b / f }')"
  done | sort -k 3 -n >"$work/$kernel"
  awk -v k="$kernel" '{ f[NR] = $1; b[NR] = $2; r[NR] = $3 }
    END { m = int((NR + 1) / 2); printf "%s: boot/floor median %s, min %s, max %s over %d pairs (median pair: %s over %s cpu-s)\n", k, r[m], r[1], r[NR], NR, b[m], f[m] }' "$work/$kernel"
done
