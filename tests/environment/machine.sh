#!/usr/bin/env bash
# Makes DIR/disk.raw, DIR/vmlinuz and DIR/initrd: a Debian that boots in a virtual machine, with systemd, cgroup v2,
# podman, crun and a shell that only the machine around it reaches. Needs root. Takes some minutes, once.
# usage: machine.sh DIR [SUITE]    SUITE: trixie (podman 5.4) unless given
set -eu
export PATH=$PATH:/usr/sbin:/sbin
here=$(dirname "$(realpath "$0")")
dir=$(realpath -m "$1") suite=${2:-trixie}
# Made anew when this script has changed.
made_with=$dir/made-with made=$(cat "$0" | sha256sum | cut -c1-16)-$suite
[ "$(cat "$made_with" 2>/dev/null)" != "$made" ] || exit 0
[ "$(id -u)" = 0 ] || { echo "making $dir needs root" >&2; exit 1; }
[ "$(uname -m)" = x86_64 ] || { echo "the virtual machine is one for x86_64, and this machine is not" >&2; exit 1; }
mkdir -p "$dir"
rm -f "$made_with"

packages=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,procps,kmod,udev,crun,fuse-overlayfs
packages=$packages,initramfs-tools,linux-image-cloud-amd64,e2fsprogs,sqlite3,tzdata,curl,strace
"$here/podman-root.sh" "$dir/root" "$suite" "$packages"
# What is changed is a copy: the root stays as debootstrap made it.
root=$dir/root.changed
rm -rf "$root"
cp -a --reflink=auto "$dir/root" "$root"
trap 'rm -rf "$root"' EXIT
cd "$root"

echo device >etc/hostname
printf '127.0.0.1 localhost device\n::1 localhost\n' >etc/hosts
echo '/dev/vda / ext4 defaults 0 1' >etc/fstab
: >etc/machine-id
: >etc/resolv.conf
rm -f var/lib/dbus/machine-id var/cache/apt/archives/*.deb
rm -rf var/lib/apt/lists/*
# A network without a way out: the address by which the forwarded port comes in, no gateway, no names.
cat >etc/systemd/network/10-host.network <<N
[Match]
Driver=virtio_net
[Network]
Address=10.0.2.15/24
LinkLocalAddressing=no
IPv6AcceptRA=no
N
# The shell, from early in the boot to the last moment: under emulation ssh takes seconds for each call.
cat >etc/systemd/system/shell.socket <<U
[Unit]
DefaultDependencies=no
[Socket]
ListenStream=23
Accept=yes
MaxConnections=64
[Install]
WantedBy=sysinit.target
U
cat >etc/systemd/system/shell@.service <<U
[Unit]
DefaultDependencies=no
CollectMode=inactive-or-failed
[Service]
# Not a slice of its own, which the shutdown would end first.
Slice=-.slice
ExecStart=-/bin/bash -s
StandardInput=socket
StandardOutput=socket
StandardError=socket
Environment=HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
WorkingDirectory=/root
OOMScoreAdjust=-1000
U
exec 3>&2 2>>"$dir/root.log"
chroot . systemctl --quiet enable systemd-networkd shell.socket
# No server answers them, or they cost the boot seconds.
chroot . systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
  e2scrub_all.timer e2scrub_reap.service fstrim.timer ldconfig.service getty@tty1.service \
  serial-getty@ttyS0.service systemd-networkd-wait-online.service
chroot . useradd --create-home --shell /bin/bash --uid 1000 edge
exec 2>&3 3>&-

# Debian's own initrd takes emulation long to unpack. This one holds busybox and the disk's driver.
version=$(ls lib/modules | head -n 1)
initrd=$(mktemp -d)
trap 'rm -rf "$root" "$initrd"' EXIT
mkdir -p "$initrd"/{bin,dev,new,modules}
cp usr/bin/busybox "$initrd/bin/busybox"
for module in virtio_blk ext4; do
  # The module's line names what it needs, the first needed last. What is built in has none.
  line=$(grep "/$module\.ko[^:]*:" "lib/modules/$version/modules.dep") || continue
  for file in $(echo "${line#*:}" | tr ' ' '\n' | tac) "${line%%:*}"; do
    name=$(basename "$file") && name=${name%%.ko*}
    [ -e "$initrd/modules/$name.ko" ] && continue
    case $file in
      *.xz) xz -dc "lib/modules/$version/$file" ;;
      *.zst) zstd -dc "lib/modules/$version/$file" ;;
      *) cat "lib/modules/$version/$file" ;;
    esac >"$initrd/modules/$name.ko"
    echo "$name" >>"$initrd/modules/list"
  done
done
cat >"$initrd/init" <<'I'
#!/bin/busybox sh
b=/bin/busybox
for module in $($b cat /modules/list); do $b insmod /modules/$module.ko; done
$b mount -t devtmpfs dev /dev
tries=0
until $b mount -t ext4 -o ro /dev/vda /new; do
  tries=$((tries + 1))
  [ $tries -lt 100 ] || exec $b poweroff -f
  $b usleep 100000
done
$b umount /dev
exec $b switch_root /new /sbin/init
I
chmod +x "$initrd/init"
(cd "$initrd" && find . | "$root/usr/bin/busybox" cpio -o -H newc 2>/dev/null) | gzip -1 >"$dir/initrd"
cp boot/vmlinuz-"$version" "$dir/vmlinuz"

rm -f "$dir/disk.raw"
truncate -s 6G "$dir/disk.raw"
mkfs.ext4 -q -F -L device -d "$root" "$dir/disk.raw"
echo "$made" >"$made_with"
echo "made $dir: kernel $version, podman $(chroot "$root" dpkg-query -W -f '${Version}' podman)"
