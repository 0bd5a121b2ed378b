#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Switchyard against a bare QEMU and against other tools, in one run: CPU
# seconds and wall seconds of
#   qemu    a bare QEMU that starts and quits, nothing booted
#   floor   a bare QEMU that boots and powers off (BenchmarkFloor in harness/vm)
#   boot    our cold boot to the agent's answer (BenchmarkBoot in harness)
#   fork    our fork to the agent's answer (BenchmarkFork)
#   ready   the same where a QEMU waits already, as in a suite (BenchmarkReadyFork)
#   run     a whole run in a fork: apply, check, revert, unload (BenchmarkRun)
#   vmtest  the same work by github.com/hugelgupf/vmtest
#   virtme  the same work by virtme-ng, with its defaults and with one vCPU
# on Debian's 6.1 and 6.12 under TCG, all with the host's QEMU. The contenders
# take turns: each round measures every one once, so that a machine whose speed
# drifts hits all alike.
#
# Usage: docs/bench/peers.sh [ROUNDS]        (5; the first sample of all is thrown away)
#   PEERS_KERNELS   the kernels (default: "6.1 6.12")
#   PEERS_CACHE     where virtme-ng's root is kept for the next run (default:
#                   switchyard-peers beside Switchyard's cache; 250 MB; may be deleted)
#   SWITCHYARD_CACHE, SWITCHYARD_DEBIAN_MIRROR count as everywhere.
# Needs: Go, qemu-system-x86_64, unshare, setpriv and flock (util-linux), and for
# virtme-ng apt-get and dpkg-deb. Writes docs/bench/RESULTS-DATE.md, and shows it.
#
# Whose CPU is counted: of the peers, the tool's and all that it started, QEMU
# and virtiofsd included, from its start to its exit. Of floor, boot, fork,
# ready and run, what the benchmark says, which is QEMU. "host side counted" is
# the whole run again with our own process as well: the process tree of a
# benchmark of 1+MANY runs less that of one run, by MANY. Not counted anywhere:
# what is made once (kernels, modules, images, vmtest's initramfs, our golden
# snapshot).
#
# It all runs on a copy of the source as it is at the start, commits or not.
#
# Every contender runs in PID and mount namespaces of its own whose first
# process dies with this script: no process outlives it, on SIGKILL too. All
# files but the cache are in one temporary folder, which goes with the script;
# after a SIGKILL the next run removes it.
# shellcheck disable=SC2016 # backquotes are Markdown here
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-5}
read -ra kernels <<<"${PEERS_KERNELS:-6.1 6.12}"
runs=5     # of ours in one sample, since they are short
many=20    # see "host side counted"
limit=300s # wall time for one run of a peer
text='this has been live patched'
store=${SWITCHYARD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/switchyard}
cache=${PEERS_CACHE:-$store-peers}
export SWITCHYARD_QEMU=host SWITCHYARD_ACCEL=tcg SWITCHYARD_CACHE=$store

say() { printf 'peers.sh: %s\n' "$*" >&2; }
for tool in go qemu-system-x86_64 unshare setpriv flock; do
  command -v "$tool" >/dev/null || { say "no $tool here"; exit 1; }
done
[[ $rounds =~ ^[1-9][0-9]*$ ]] || { say "'$rounds' is no number of rounds"; exit 2; }

# What an earlier run left behind when it was killed: nobody holds its lock.
for left in "${TMPDIR:-/tmp}"/switchyard-peers.*/; do
  [ -O "$left" ] && flock -n "$left/lock" true 2>/dev/null && rm -rf "$left"
done
work=$(mktemp -d "${TMPDIR:-/tmp}/switchyard-peers.XXXXXX")
exec 7>"$work/lock"
flock 7
mkdir "$work/tmp" "$work/exchange" "$work/source"
export TMPDIR=$work/tmp
child=
finish() {
  [ -z "$child" ] || kill -KILL "$child" 2>/dev/null || true
  # The dying may still write: try until the folder stays away.
  for _ in {1..100}; do
    rm -rf "$work" 2>/dev/null && [ ! -e "$work" ] && return
    sleep 0.1
  done
  say "$work could not be removed"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# aside COMMAND...: runs it where a signal to this script ends it at once.
aside() {
  "$@" &
  child=$!
  local status=0
  wait "$child" || status=$?
  child=
  return "$status"
}
# apart COMMAND...: runs it in namespaces that die with this script.
user=()
[ "$(id -u)" = 0 ] || user=(--user --map-root-user)
apart() {
  aside setpriv --pdeathsig KILL unshare "${user[@]}" --mount --pid --fork --kill-child --mount-proc -- "$@" </dev/null
}

# reason[NAME/KERNEL] says why a contender takes no part (any more); notes are
# what the results say below the table.
declare -A reason label=(
  [qemu]='bare QEMU: start and quit'
  [floor]='bare QEMU: boot and power off'
  [boot]='Switchyard: cold boot to the answer'
  [fork]='Switchyard: fork to the answer'
  [ready]='Switchyard: fork to the answer, QEMU waiting'
  [run]='Switchyard: whole run in a fork'
  [whole]='Switchyard: whole run in a fork, host side counted'
  [vmtest]='vmtest: whole run'
  [virtme]='virtme-ng: whole run'
  [virtme1]='virtme-ng: whole run, `--cpus 1`'
)
order=(qemu floor boot fork ready run whole vmtest virtme virtme1)
notes=()
out() { # NAME KERNEL WHY
  reason[$1/$2]=$3
  say "$1 on $2 takes no part: $3"
}

# why is what a log says of a failure, in a line.
why() {
  tr -d '\000-\010\013-\037' <"$work/log" | awk '
    /Error:/ { error = 1; sub(/.*Error:/, "") }
    /Messages:|Test:/ { error = 0 }
    error { sub(/^[ \t]+/, ""); said = said " " $0 }
    !/^(PASS|FAIL|ok|goos|goarch|pkg|cpu|exit status)/ && NF { last = $0 }
    END { print substr(said != "" ? said : last != "" ? last : " there is no such benchmark", 1, 400) }'
}

# --- what is made once -------------------------------------------------------
say "building"
commit=$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
[ -z "$(git --no-optional-locks status --porcelain 2>/dev/null)" ] || commit+=' with changes'
{ git ls-files -z --cached --others --exclude-standard 2>/dev/null || find . -type f -print0; } |
  tar --null --files-from=- --ignore-failed-read -cf - 2>/dev/null | tar -xf - -C "$work/source"
results=$PWD/docs/bench
cd "$work/source"
repo=$PWD
bench=$repo/docs/bench
aside go build -o "$work/switchyard" ./cmd/switchyard
aside go test -c -o "$work/floor.test" ./harness/vm
aside go test -c -o "$work/harness.test" ./harness
CGO_ENABLED=0 aside go -C "$bench/peers" build -o "$work/exchange/peers" .
CGO_ENABLED=0 aside go -C "$bench/peers" build -o "$work/exchange/guest" ./guest
peers=$work/exchange/peers
vmtest=$(go -C "$bench/peers" list -m -f '{{.Version}}' github.com/hugelgupf/vmtest)

declare -A release kit
for k in "${kernels[@]}"; do
  mkdir "$work/exchange/$k"
  aside "$work/switchyard" patch build cases/testdata/cmdline --kernel "$k" -o "$work/exchange/$k/cmdline.ko" >"$work/built"
  read -r 'release[$k]' 'kit[$k]' < <("$work/switchyard" kernels get "$k")
  [ -e "${kit[$k]}/vmlinuz" ] || { say "no kernel image in ${kit[$k]}"; exit 1; }
  grep -q '^CONFIG_NET_9P=' "${kit[$k]}/config" ||
    notes+=("${release[$k]}: \`# CONFIG_NET_9P is not set\`, so nothing that needs 9p can be had there: vmtest gets the module in its initramfs instead of by its \`scriptvm\` and \`P9Directory\`, virtme-ng its root by virtiofs (its own first choice) instead of by \`--root\` or \`--rodir\`.")
done

# work_of FILE: "CPU wall" that a meter wrote, for people.
work_of() { awk '{ printf "%.1f CPU s, %.1f wall s", $1, $2 }' "$1"; }
for k in "${kernels[@]}"; do
  say "making vmtest's initramfs for $k"
  if apart env -C "$bench/peers" "$peers" meter "$work/image" "$peers" image "$work/$k.cpio" "$work/exchange/$k/cmdline.ko" "$text" >"$work/log" 2>&1; then
    made=$(work_of "$work/image")
  else
    out vmtest "$k" "its initramfs cannot be made: $(why)"
  fi
done
[ -z "${made:-}" ] || notes+=("vmtest makes its initramfs anew for every test; here it was made once, outside the measurement. Another $made a run with warm build caches.")

say "making virtme-ng's root (kept in the cache)"
mkdir -p "$(dirname "$cache")" "$cache"
exec 8>"$cache/lock"
flock 8
virtme=
if aside "$bench/peers/virtme-root.sh" "$cache/virtme-ng" >"$work/log" 2>&1; then
  virtme=$(cat "$cache/virtme-ng/version")
  root=$cache/virtme-ng/root
  for k in "${kernels[@]}"; do # as an installed kernel, which is what vng --run takes by name
    r=${release[$k]}
    [ -e "$root/usr/lib/modules/$r/modules.dep" ] && cmp -s "${kit[$k]}/vmlinuz" "$root/boot/vmlinuz-$r" && continue
    rm -rf "$root/usr/lib/modules/$r"
    mkdir -p "$root/usr/lib/modules/$r"
    cp "${kit[$k]}/vmlinuz" "$root/boot/vmlinuz-$r"
    cp -R "${kit[$k]}/lib/modules/$r/kernel" "${kit[$k]}/lib/modules/$r"/modules.* "$root/usr/lib/modules/$r/"
    apart chroot "$root" depmod -a "$r" || { say "depmod for $r went wrong"; exit 1; }
  done
else
  for k in "${kernels[@]}"; do
    out virtme "$k" "its packages could not be had: $(why)"
    out virtme1 "$k" "${reason[virtme/$k]}"
  done
fi

# --- the contenders: each prints "CPU-s wall-s" ------------------------------
# benchmark FOLDER BINARY NAME METRIC TIMES: METRIC is the unit of its wall time.
benchmark() {
  apart env -C "$1" "$2" -test.run '^$' -test.bench "$3" -test.benchtime "$5" >"$work/log" 2>&1 || return
  awk -v unit="$4" '/cpu-s\/op/ {
    for (i = 2; i <= NF; i++) {
      if ($i == "cpu-s/op") cpu = $(i - 1)
      if ($i == unit) wall = unit == "ns/op" ? $(i - 1) / 1e9 : $(i - 1)
    }
    if (cpu != "" && wall != "") print cpu, wall
  }' "$work/log"
}
# tree RUNS KERNEL: the process tree of one benchmark of so many runs, into $work/tree.RUNS.
tree() {
  apart env -C harness "$peers" meter "$work/tree.$1" \
    "$work/harness.test" -test.run '^$' -test.bench "^BenchmarkRun\$/^$2\$" -test.benchtime "$1x" >"$work/log" 2>&1 &&
    grep -q 'cpu-s/op' "$work/log"
}
# virtme_run KERNEL OPTION...: vng in its root; the guest runs the script as root, which powers off.
virtme_run() {
  local k=$1
  shift
  apart "$bench/peers/virtme-enter.sh" "$root" "$work/exchange" \
    /peers/peers meter "/peers/measured" timeout --foreground "$limit" \
    vng --disable-kvm "$@" --run "${release[$k]}" --exec "/peers/guest -text '$text' /peers/$k/cmdline.ko" >"$work/log" 2>&1 &&
    grep -q PEER-DONE "$work/log" && cat "$work/exchange/measured"
}
# start_quit: a QEMU with the floor's machine, RUNS times over, since one is short.
start_quit() {
  apart "$peers" meter "$work/measured" bash -c 'for ((i = 0; i < $0; i++)); do
      qemu-system-x86_64 -machine q35 -accel tcg -m 512 -nodefaults -display none -S -monitor stdio <<<quit || exit
    done' "$runs" >"$work/log" 2>&1 &&
    awk -v n="$runs" '{ print $1 / n, $2 / n }' "$work/measured"
}
measure() { # NAME KERNEL
  local k=$2
  case $1 in
  qemu) start_quit ;;
  floor) benchmark harness/vm "$work/floor.test" "^BenchmarkFloor\$/^$k\$" ns/op 1x ;;
  boot) benchmark harness "$work/harness.test" "^BenchmarkBoot\$/^$k\$" hello-s/op 1x ;;
  fork) benchmark harness "$work/harness.test" "^BenchmarkFork\$/^$k\$" hello-s/op "${runs}x" ;;
  ready) benchmark harness "$work/harness.test" "^BenchmarkReadyFork\$/^$k\$" hello-s/op "${runs}x" ;;
  run) benchmark harness "$work/harness.test" "^BenchmarkRun\$/^$k\$" wall-s/op "${runs}x" ;;
  whole)
    tree 1 "$k" && tree $((many + 1)) "$k" &&
      awk -v n="$many" '{ c[NR] = $1; w[NR] = $2 }
        END { if (c[2] > c[1] && w[2] > w[1]) print (c[2] - c[1]) / n, (w[2] - w[1]) / n; else print "noise" }' \
        "$work/tree.1" "$work/tree.$((many + 1))"
    ;;
  vmtest)
    apart "$peers" meter "$work/measured" \
      "$peers" vmtest 'qemu-system-x86_64 -m 1G' "${kit[$k]}/vmlinuz" "$work/$k.cpio" "$limit" >"$work/log" 2>&1 &&
      cat "$work/measured"
    ;;
  virtme) virtme_run "$k" ;;
  virtme1) virtme_run "$k" --cpus 1 ;;
  esac
}

# --- the rounds: round 0 warms caches and shows who takes part -----------------
: >"$work/samples"
for round in $(seq 0 "$rounds"); do
  for k in "${kernels[@]}"; do
    for name in "${order[@]}"; do
      [ -z "${reason[$name/$k]:-}" ] || continue
      rm -f "$work/log"
      if measure "$name" "$k" >"$work/took" && read -r cpu wall <"$work/took"; then
        say "round $round of $rounds, $k, $name: $cpu CPU s, $wall wall s"
        # A difference of two that another load on the machine has turned round is no sample.
        [ "$round" = 0 ] || [ "$cpu" = noise ] ||
          printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$round" "$name" "${label[$name]}" "$k" "$cpu" "$wall" >>"$work/samples"
      else
        out "$name" "$k" "in round $round:$(why | sed 's/^ */ /')"
        tail -n 20 "$work/log" >&2 || true
      fi
    done
  done
done

# --- the results ---------------------------------------------------------------
date=$(date -u +%Y-%m-%d)
results=$results/RESULTS-$date.md
{
  printf '# Switchyard, a bare QEMU and other tools, %s\n\n' "$date"
  printf 'Made by `docs/bench/peers.sh %s`, which says what each line is and whose CPU is counted. ' "$rounds"
  printf 'Medians over the rounds; every ratio is the median of the ratios within a round. The CPU of the peers is that of all their processes, ours that of QEMU unless the line says otherwise.\n\n'
  "$peers" table "$work/samples"
  printf '\n'
  "$peers" short "$work/samples"
  printf '\n## What took part\n\n'
  printf -- '- kernels: %s\n' "$(for k in "${kernels[@]}"; do printf '%s\n' "${release[$k]}"; done | paste -sd ,)"
  printf -- '- QEMU: %s, TCG, the same binary for all\n' "$(qemu-system-x86_64 --version | sed -n '1s/^QEMU emulator version //p')"
  printf -- '- vmtest %s, 1 GiB and one vCPU as its runvmtest has it\n' "$vmtest"
  printf -- '- virtme-ng %s from Debian, in a plain Debian 13 root that has been unpacked for it, with its defaults: 1 GiB, as many vCPUs as the host has, root by virtiofs, the packaged init (a bash script; the package has no `virtme-ng-init`) and udev; `--disable-kvm` added\n' "${virtme:-(not to be had)}"
  printf -- '- Switchyard at commit %s, %s\n' "$commit" "$(go version | cut -d ' ' -f 3,4)"
  printf '\n## The machine\n\n'
  printf -- '- CPU: %s, %s cores\n' "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)"
  printf -- '- memory: %s\n' "$(awk '/^MemTotal/ { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo)"
  printf -- '- kernel: %s\n' "$(uname -sr)"
  printf -- '- load average at the end: %s\n' "$(cut -d ' ' -f 1-3 /proc/loadavg)"
  printf '\n## Notes\n\n'
  for n in "${notes[@]}"; do printf -- '- %s\n' "$n"; done
  for name in "${order[@]}"; do
    for k in "${kernels[@]}"; do
      [ -z "${reason[$name/$k]:-}" ] || printf -- '- %s, %s: no result: %s\n' "${label[$name]}" "$k" "${reason[$name/$k]}"
    done
  done
} | sed "s#$repo/##g; s#$work#TMP#g; s#$cache#CACHE#g; s#$store#CACHE#g" >"$work/results"
mv "$work/results" "$results"
cat "$results"
say "written: $results"
