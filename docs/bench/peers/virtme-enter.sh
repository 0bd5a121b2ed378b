#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs a command in the root that virtme-root.sh made, by chroot. To be started
# in mount and PID namespaces of its own, which take the mounts away again.
# Usage: virtme-enter.sh ROOT EXCHANGE COMMAND...
#   EXCHANGE is a folder of the caller; the command finds it as /peers.
set -euo pipefail
root=$1 exchange=$2
shift 2
mount --make-rprivate /
mount --rbind / "$root/host"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount --bind "$exchange" "$root/peers"
# QEMU runs in /host. What virtme-ng hands it by name must have that name there
# too: the kernels, and the sockets and files that it makes in /tmp.
mount -t tmpfs tmpfs "$root/tmp"
mount --bind "$root/tmp" "$root/host/tmp"
mount --bind "$root/boot" "$root/host/boot"
exec chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin HOME=/root "$@"
