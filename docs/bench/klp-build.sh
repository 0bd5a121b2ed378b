#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Upstream's scripts/livepatch/klp-build against our builder: the same diffs to
# modules for the same kernel, built by the same compiler from Debian's source of
# 7.3 in the smallest configuration that can be live-patched. For each diff: CPU
# and wall seconds of either, the functions that either takes for changed, the
# symbols and relocations that either leaves to the kernel's livepatch.
#
# Usage: docs/bench/klp-build.sh [DIFF]     (fs-cmdline, fs-percpu, …; default: six)
#   SWITCHYARD_KLP_BUILD   a folder in which tree, modules and logs stay (5 GB;
#                          default: a temporary one): the kernel is then built once
#
# The kernel takes klp-build 7 CPU minutes before the first diff. In the log of a
# diff (DIFF.log in the folder) stands all that klp-build did.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec go test ./harness/patch -run '^$' -bench "KLPBuild/${1:-.}" -benchtime 1x -timeout 6h -v
