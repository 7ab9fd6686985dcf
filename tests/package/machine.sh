#!/bin/bash
# Boots a machine of its own: systemd in a container, upon a root that it does not change. In the foreground.
# usage (root): machine.sh DIR ROOT    with DIR: an empty folder, with ROOT: of tests/environment/podman-root.sh
# Killing this process ends everything in it, mounts included.
set -eu
D=$1 ROOT=$2
export D ROOT
# One at a time, whoever tests: on cgroup v1 machines share their groups.
exec 9>/run/lock/device-worker-ng-machine
flock 9
# In a namespace of its own for processes: systemd-nspawn that is killed would leave its machine behind.
exec unshare --mount --pid --mount-proc --fork --kill-child=SIGKILL bash -ec '
  mkdir -p "$D"/{upper,work,root,containers,home}
  mount -t overlay overlay -o "lowerdir=$ROOT,upperdir=$D/upper,workdir=$D/work" "$D/root"
  # A root in a container may not raise limits, and crun is stricter than the rest.
  mkdir -p "$D/root/etc/containers"
  cat > "$D/root/etc/containers/containers.conf" <<C
[engine]
runtime = "runc"
[containers]
default_ulimits = ["nofile=4096:4096","nproc=4096:4096"]
C
  # Nothing of this machine is found there but the loopback and the kernel. podman needs keys, a
  # writable /sys, and disks that are no overlays, which do not stack.
  export SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes
  systemd-nspawn --quiet --keep-unit --register=no --machine=device --boot --private-network \
    --capability=all --system-call-filter="@keyring bpf" --directory="$D/root" \
    --bind="$D/containers:/var/lib/containers" --bind="$D/home:/home" &
  wait'
