#!/usr/bin/env bash
# Makes DIR the root of a newer Debian whose podman the tests can run (PODMAN_ROOT). Needs root.
# usage: podman-root.sh DIR [SUITE [PACKAGE,...]]    SUITE: trixie (podman 5.4) unless given
# Takes one to three minutes. A root that has podman and the packages is left as it is; only what this
# script itself made is removed.
set -eu
root=$(realpath -m "$1") suite=${2:-trixie} further=${3:-}
partial=$root/.partial made_with=$root/.further-packages
if [ -e "$partial" ]; then
  rm -rf "$root"
elif [ -x "$root/usr/bin/podman" ]; then
  [ "$(cat "$made_with" 2>/dev/null)" != "$further" ] || exit 0
  if ! [ -e "$made_with" ]; then
    echo "$root lacks $further, and was not made by this script: name another folder" >&2
    exit 1
  fi
  rm -rf "$root"
elif [ -n "$(ls -A "$root" 2>/dev/null)" ]; then
  echo "$root holds something else, and no podman: name another folder" >&2
  exit 1
fi
[ "$(id -u)" = 0 ] || { echo "making $root needs root" >&2; exit 1; }
if ! command -v debootstrap >/dev/null 2>&1 && ! [ -x /usr/sbin/debootstrap ]; then
  command -v apt-get >/dev/null 2>&1 || { echo "debootstrap is missing: install it" >&2; exit 1; }
  DEBIAN_FRONTEND=noninteractive "$(dirname "$0")/apt.sh" install -y -qq --no-install-recommends debootstrap >/dev/null
fi
# The mirror that this machine uses itself.
mirror=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb  *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\).*/\2/p' \
  /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep '/debian/\{0,1\}$' | head -n 1)
packages=podman,runc,conmon,netavark,aardvark-dns,catatonit,iptables,nftables,uidmap,slirp4netns
packages=$packages,passt,iproute2,util-linux,busybox-static${further:+,$further}
mkdir -p "$root"
touch "$partial"
PATH=$PATH:/usr/sbin:/sbin debootstrap --variant=minbase "--include=$packages" "$suite" "$root" \
  ${mirror:+"$mirror"} >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; exit 1; }
[ -z "$further" ] || printf '%s' "$further" >"$made_with"
rm "$partial"
echo "made $root: $(chroot "$root" podman --version)"
