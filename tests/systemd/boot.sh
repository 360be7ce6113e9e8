#!/usr/bin/env bash
# Becomes systemd as process 1 of a machine whose disk is this one's, and whose changes go to memory:
#
#   unshare --fork --pid --mount --uts --ipc --net --cgroup --kill-child tests/systemd/boot.sh FOLDER REPOSITORY
#
# FOLDER is an empty one. All mounts are made in the mount namespace of its own, and go with it.
set -euo pipefail
memory=$1
repository=$2

mount --make-rprivate /
mount -t tmpfs -o size=2g,mode=755 tmpfs "$memory"
mkdir "$memory"/{upper,work,root}
root=$memory/root
mount -t overlay -o "lowerdir=/,upperdir=$memory/upper,workdir=$memory/work" overlay "$root"

# What this machine starts by itself, its journal and its identity are not the other's.
rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/systemd/system/*.requires "$root"/var/log/journal
rm -f "$root"/etc/machine-id "$root"/usr/sbin/policy-rc.d
: >"$root"/etc/machine-id
# The kernel is the same: nothing here is to set it up.
for unit in systemd-{udevd,modules-load,sysctl,remount-fs}.service sys-kernel-{debug,tracing}.mount dev-hugepages.mount; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

mount -t proc proc "$root/proc"
mount -o bind,ro "$root/proc/sys" "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
# Where the machine has the old hierarchies, /sys/fs/cgroup is a plain directory here, and takes the mount as well.
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    cp -a "/dev/$device" "$root/dev/"
done
ln -s /proc/self/fd "$root/dev/fd"
mkdir "$root"/dev/{shm,pts}
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mkdir -p "$root/mnt"
mount -o bind,ro "$repository" "$root/mnt"

cd "$root"
mkdir .old
pivot_root . .old
umount --lazy /.old
rmdir /.old
mount --make-rshared /
exec env -i container=krx-test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=basic.target
