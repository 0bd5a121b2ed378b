#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs every command that a document marks with
#   <!-- transcript: COMMAND -->
# and puts what it printed between that line and <!-- end of transcript -->.
# Usage: docs/transcripts.sh README.md
set -euo pipefail
cd "$(dirname "$0")/.."
for file in "$@"; do
  out=$(mktemp)
  trap 'rm -f "$out"' EXIT
  skipping=0
  while IFS= read -r line; do
    case $line in
    '<!-- transcript: '*)
      command=${line#'<!-- transcript: '}
      command=${command%' -->'}
      printf '%s\n```\n$ %s\n' "$line" "$command" >>"$out"
      bash -c "$command" </dev/null 2>/dev/null | sed 's/[[:space:]]*$//' >>"$out"
      printf '```\n' >>"$out"
      skipping=1
      ;;
    '<!-- end of transcript -->')
      printf '%s\n' "$line" >>"$out"
      skipping=0
      ;;
    *)
      [ $skipping = 1 ] || printf '%s\n' "$line" >>"$out"
      ;;
    esac
  done <"$file"
  cat "$out" >"$file"
  rm -f "$out"
done
