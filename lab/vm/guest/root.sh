#!/bin/sh
# Finish the guest's root, then write it out as a disk image, a kernel and an initramfs.
#
# Run as root by mmdebstrap, outside the new root: root.sh ROOT SITE-PACKAGES OUTPUT OWNER
set -eu
root=$1 site_packages=$2 output=$3 owner=$4

mkdir -p "$root/opt/csi-solidfire" "$root/srv/array" "$root/etc/systemd/system"
cp -R "$site_packages" "$root/opt/csi-solidfire/site-packages"
chown -R 0:0 "$root/opt/csi-solidfire"
chroot "$root" python3 -m compileall -q -j 0 /opt/csi-solidfire/site-packages || true

# rtslib fails for good ("Cannot set dbroot") when its directory is not there before target_core_mod is loaded.
mkdir -p "$root/etc/rtslib-fb-target" "$root/etc/target"
printf '%s\n' target_core_mod iscsi_target_mod target_core_iblock target_core_file \
    iscsi_tcp loop xfs btrfs dm_multipath dm_round_robin > "$root/etc/modules-load.d/lab.conf"

echo '/dev/vda / ext4 rw,noatime 0 1' > "$root/etc/fstab"
echo lab > "$root/etc/hostname"
echo '127.0.0.1 localhost lab' > "$root/etc/hosts"
rm -f "$root/etc/resolv.conf" "$root/etc/machine-id"
echo 'nameserver 10.0.2.3' > "$root/etc/resolv.conf"
echo 00000000000000000000000000000001 > "$root/etc/machine-id"
chroot "$root" passwd -d root

# The addresses of QEMU's user network never change, so nothing has to be asked for by DHCP.
cat > "$root/etc/systemd/system/lab-network.service" <<'UNIT'
[Unit]
Description=The card on QEMU's user network
DefaultDependencies=no
Before=network.target
After=systemd-udevd.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'until [ -e /sys/class/net/eth0 ]; do sleep 0.1; done; ip link set lo up; ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up; ip route add default via 10.0.2.2'
TimeoutStartSec=60
[Install]
WantedBy=multi-user.target
UNIT

# A fresh VM must not do housekeeping because its clock jumped, nor start what a test did not ask for.
chroot "$root" systemctl enable -q lab-network.service
chroot "$root" systemctl mask -q apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer systemd-tmpfiles-clean.timer getty@tty1.service serial-getty@ttyS0.service \
    serial-getty@hvc0.service systemd-timesyncd.service systemd-pstore.service systemd-random-seed.service
chroot "$root" systemctl disable -q tgt.service rtslib-fb-targetctl.service multipathd.service multipathd.socket
mkdir -p "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=32M\n' > "$root/etc/systemd/journald.conf.d/lab.conf"
# The agent writes a line for each time it is asked whether a command has ended.
mkdir -p "$root/etc/systemd/system/qemu-guest-agent.service.d"
printf '[Service]\nStandardOutput=null\nStandardError=null\n' > "$root/etc/systemd/system/qemu-guest-agent.service.d/lab.conf"

rm -rf "$root"/etc/apt/apt.conf.d/99mmdebstrap "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin

cp "$root"/boot/vmlinuz-* "$output/vmlinuz"
cp "$root"/boot/initrd.img-* "$output/initrd.img"
rm -rf "$root"/boot/*
truncate -s 8G "$output/root.img"
# Seen through a bind mount the root is without the /proc, /sys and /dev that are mounted in it now.
mkdir "$output/bare"
mount --bind "$root" "$output/bare"
mke2fs -q -t ext4 -E lazy_itable_init=1,lazy_journal_init=1,nodiscard -d "$output/bare" "$output/root.img"
umount "$output/bare"
rmdir "$output/bare"
chown "$owner" "$output/vmlinuz" "$output/initrd.img" "$output/root.img"
