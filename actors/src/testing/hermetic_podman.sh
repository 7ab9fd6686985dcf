#!/bin/bash
# Runs a podman service that shares nothing with the machine's, in the foreground.
# usage (root): hermetic_podman.sh DIR [USER [MEGABYTES]]    with USER: rootless, as that user;
# with MEGABYTES: rootful storage holds no more
# Ready when DIR/podman.sock answers. Killing this process ends everything in it.
# PODMAN_ROOT, when set: the root of another Debian system whose podman is run instead.
set -eu
D=$(realpath -m "$1"); export D U="${2:-}" M="${3:-}"
mkdir -p "$D"/{graph,run,tmp,vol,net,home,cwd}
if [ -n "$U" ]; then lock='lock_type = "file"'; else lock=''; fi
cat > "$D/containers.conf" <<C
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
static_dir = "$D/graph/libpod"
tmp_dir = "$D/tmp"
volume_path = "$D/vol"
$lock
[network]
network_backend = "netavark"
network_config_dir = "$D/net"
[containers]
log_driver = "none"
default_ulimits = ["nofile=4096:4096","nproc=4096:4096"]
C
if [ -n "$U" ]; then
  printf '[storage]\ndriver = "overlay"\nrunroot = "%s/run"\nrootless_storage_path = "%s/graph"\n' "$D" "$D"
else
  printf '[storage]\ndriver = "overlay"\ngraphroot = "%s/graph"\nrunroot = "%s/run"\n' "$D" "$D"
fi > "$D/storage.conf"
printf 'unqualified-search-registries = []\n' > "$D/registries.conf"
rm -f "$D/podman.sock"
# In the service's own mount namespace only. Nothing else changes place: paths mean the same to
# podman, to the tests and to the agent. Users stay those of this machine.
take_root() {
  [ -n "${PODMAN_ROOT:-}" ] || return 0
  users=$(mktemp -d "$D/users.XXXXXX")
  for file in passwd group subuid subgid; do cp "/etc/$file" "$users/$file"; done
  mount --bind "$PODMAN_ROOT/usr" /usr
  mount --bind "$PODMAN_ROOT/etc" /etc
  for file in passwd group subuid subgid; do
    # Never made in PODMAN_ROOT: other tests share it.
    if [ -e "/etc/$file" ]; then mount --bind "$users/$file" "/etc/$file"; fi
  done
  hash -r
}
export -f take_root
if [ -z "$U" ]; then
  exec unshare --mount --net --ipc --uts --pid --fork --kill-child=SIGKILL --mount-proc bash -ec '
    take_root
    mkdir -p /run/containers /run/netns /run/lock /run/runc /run/crun
    for m in /dev/shm /run/containers /run/netns /run/lock /run/runc /run/crun; do
      mount -t tmpfs tmpfs $m
    done
    if [ -n "$M" ]; then mount -t tmpfs -o "size=${M}m" tmpfs "$D/graph"; fi
    ip link set lo up; cd "$D/cwd"
    export HOME=$D/home CONTAINERS_CONF=$D/containers.conf
    export CONTAINERS_STORAGE_CONF=$D/storage.conf CONTAINERS_REGISTRIES_CONF=$D/registries.conf
    export REGISTRY_AUTH_FILE=$D/none.json
    unset XDG_RUNTIME_DIR DBUS_SESSION_BUS_ADDRESS
    while :; do
      if [ ! -e "$D/pause" ]; then
        podman system service --time=0 "unix://$D/podman.sock" & echo $! > "$D/service.pid"
        wait $! || true
      fi
      sleep 0.1
    done'
fi
install -d -m 700 "$D/xdg"
[ -e "$D/tun" ] || mknod "$D/tun" c 10 200
chmod 666 "$D/tun"
chown -R "$U:" "$D"
exec unshare --mount --net --ipc --uts --pid --fork --kill-child=SIGKILL --mount-proc bash -ec '
  take_root
  mount -t tmpfs -o mode=1777 tmpfs /dev/shm
  mkdir -p /dev/net; [ -e /dev/net/tun ] || touch /dev/net/tun
  mount --bind "$D/tun" /dev/net/tun
  ip link set lo up; cd "$D/cwd"
  while :; do
    if [ ! -e "$D/pause" ]; then
      setpriv --reuid="$U" --regid="$(id -g "$U")" --clear-groups env -i \
        HOME="$D/home" USER="$U" LOGNAME="$U" PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        XDG_RUNTIME_DIR="$D/xdg" CONTAINERS_CONF="$D/containers.conf" \
        CONTAINERS_STORAGE_CONF="$D/storage.conf" \
        CONTAINERS_REGISTRIES_CONF="$D/registries.conf" REGISTRY_AUTH_FILE="$D/none.json" \
        podman system service --time=0 "unix://$D/podman.sock" & echo $! > "$D/service.pid"
      wait $! || true
    fi
    sleep 0.1
  done'
