#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the Debian 13 root that virtme-ng runs in, from that release's
# packages: virtme-ng, virtiofsd, kmod, udev and what they need. virtme-ng
# shares the root that it runs in with its guest, so this is the guest's
# system as well. Nothing is installed on the host: apt works with a state of
# its own, and the packages are only unpacked.
# Usage: virtme-root.sh FOLDER      (FOLDER/root is the root, FOLDER/version virtme-ng's version)
set -euo pipefail
repo=$(cd "$(dirname "$0")/../../.." && pwd)
folder=$1
suite=trixie
# What a plain Debian has of the commands that virtme-init and vng call.
packages=(base-files base-passwd bash dash coreutils findutils grep sed hostname
  mount util-linux procps iproute2 kmod udev systemd-sysv ca-certificates
  python3 file busybox-static virtiofsd virtme-ng)

[ -e "$folder/version" ] && exit 0 # made by an earlier run
for tool in apt-get apt-cache dpkg-deb; do
  command -v "$tool" >/dev/null || { echo "virtme-root.sh: no $tool here" >&2; exit 1; }
done
# shellcheck disable=SC2016 # apt fills it in
mirror=${SWITCHYARD_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' | grep '/debian/\?$' | head -n 1)}
[ -n "$mirror" ] || { echo "virtme-root.sh: no mirror: set SWITCHYARD_DEBIAN_MIRROR" >&2; exit 1; }

part=$folder.part
rm -rf "$part" "$folder"
mkdir -p "$part"/apt/{lists/partial,cache/archives/partial} "$part/root"
keys=$(printf '%s,' "$repo/kernels/debian/keys/$suite"-*.gpg)
echo "deb [arch=amd64 signed-by=${keys%,}] $mirror $suite main" >"$part/apt/sources.list"
: >"$part/apt/status" # an empty system, so that apt resolves all there is to have
apt=(-o "Dir::Etc::sourcelist=$part/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o "Dir::State::lists=$part/apt/lists" -o "Dir::State::status=$part/apt/status"
  -o "Dir::Cache=$part/apt/cache" -o APT::Sandbox::User= -o Debug::NoLocking=true
  -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
apt-get "${apt[@]}" -qq update
apt-get "${apt[@]}" -qq -y --no-install-recommends --download-only install "${packages[@]}" >/dev/null
# base-files first: it brings the links /bin, /lib and /sbin.
for deb in "$part"/apt/cache/archives/base-files_*.deb "$part"/apt/cache/archives/*.deb; do
  dpkg-deb -x "$deb" "$part/root"
done

# What the packages' own scripts would have done, as far as anything here looks at it.
root=$part/root
cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
cat "$root"/usr/share/ca-certificates/*/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
printf '%032x\n' 1 >"$root/etc/machine-id"
# Folders and files that virtme-init mounts over.
mkdir -p "$root"/{opt,srv,etc/lvm,usr/local/bin,peers,host}
touch "$root"/etc/{fstab,hosts}
if [ "$(id -u)" = 0 ]; then
  chroot "$root" systemd-sysusers 2>/dev/null
else
  unshare --map-root-user chroot "$root" systemd-sysusers 2>/dev/null
fi
# The host's QEMU, in the host's own root.
cat >"$root/usr/local/bin/qemu-system-x86_64" <<'QEMU'
#!/bin/sh
exec chroot /host qemu-system-x86_64 "$@"
QEMU
chmod +x "$root/usr/local/bin/qemu-system-x86_64"
apt-cache "${apt[@]}" show --no-all-versions virtme-ng | sed -n 's/^Version: //p' >"$part/version"
rm -rf "$part/apt"
mv "$part" "$folder"
