#!/usr/bin/env bash
# Installs what the tests and the demo need of the system: podman with its parts, a registry, busybox.
# Idempotent: asks the package manager only for what is missing. Needs root when anything is.
# usage: install.sh [ui|packages|machine]    ui: also a browser, with a font, for the tests of the status
# page; packages, machine: also what the tests of the packages or those on a virtual machine need
set -eu

# Fedora has podman's helpers in /usr/libexec, and other names for some commands.
have() {
  for name in ${1//|/ }; do
    command -v "$name" >/dev/null 2>&1 && return
    for folder in /usr/sbin /usr/lib/podman /usr/libexec/podman; do
      [ -x "$folder/$name" ] && return
    done
    [ -z "$(find /usr/share/fonts -name "$name" 2>/dev/null | head -n 1)" ] || return 0
  done
  return 1
}

# command or font that proves it, or another : package on Debian and Ubuntu : package on Fedora
needed="
cc:gcc:gcc
make:make:make
podman:podman:podman
runc:runc:runc
conmon:conmon:conmon
netavark:netavark:netavark
aardvark-dns:aardvark-dns:aardvark-dns
catatonit:catatonit:catatonit
iptables:iptables:iptables-nft
newuidmap:uidmap:shadow-utils
slirp4netns:slirp4netns:slirp4netns
busybox:busybox-static:busybox
ip:iproute2:iproute
unshare:util-linux:util-linux
setpriv:util-linux:util-linux
useradd:passwd:shadow-utils
curl:curl:curl
docker-registry|registry:docker-registry:docker-distribution
htpasswd:apache2-utils:httpd-tools
"
if [ "${1:-}" = ui ]; then
  needed="$needed
chromium|chromium-browser:chromium:chromium
DejaVuSans.ttf:fonts-dejavu-core:dejavu-sans-fonts
"
fi

if [ "${1:-}" = packages ]; then
  needed="$needed
systemd-nspawn:systemd-container:systemd-container
debootstrap:debootstrap:debootstrap
dpkg-shlibdeps:dpkg-dev:dpkg-dev
lintian:lintian:lintian
rpm:rpm:rpm
rpmlint:rpmlint:rpmlint
"
fi

if [ "${1:-}" = machine ]; then
  needed="$needed
qemu-system-x86_64:qemu-system-x86:qemu-system-x86-core
qemu-img:qemu-utils:qemu-img
debootstrap:debootstrap:debootstrap
dpkg-shlibdeps:dpkg-dev:dpkg-dev
mkfs.ext4:e2fsprogs:e2fsprogs
xz:xz-utils:xz
zstd:zstd:zstd
"
fi

debian="" fedora="" missing=""
for entry in $needed; do
  command=${entry%%:*} rest=${entry#*:}
  have "$command" && continue
  missing="$missing ${command%%|*}"
  debian="$debian ${rest%%:*}"
  fedora="$fedora ${rest#*:}"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
  echo "missing:$missing. Run this as root once: $0${1:+ $1}" >&2
  exit 1
fi
echo "installing what provides:$missing"
if command -v apt-get >/dev/null 2>&1; then
  export DEBIAN_FRONTEND=noninteractive
  apt=$(dirname "$0")/apt.sh
  "$apt" update -qq
  # shellcheck disable=SC2086
  "$apt" install -y -qq --no-install-recommends $debian >/dev/null
elif command -v dnf >/dev/null 2>&1; then
  # shellcheck disable=SC2086
  dnf install -y -q $fedora
else
  echo "neither apt-get nor dnf is here: install what provides$missing by hand" >&2
  exit 1
fi
for entry in $needed; do
  command=${entry%%:*}
  have "$command" || { echo "still missing: ${command%%|*}" >&2; exit 1; }
done
