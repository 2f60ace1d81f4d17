#!/bin/sh
# Before the kernel's package makes its initramfs: only what reaches the root disk, so it is made and booted faster.
#
# Run as root by mmdebstrap, outside the new root: initramfs.sh ROOT
set -eu
mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"
printf 'MODULES=list\nCOMPRESS=zstd\n' > "$1/etc/initramfs-tools/conf.d/lab.conf"
printf 'virtio_pci\nvirtio_blk\next4\n' > "$1/usr/share/initramfs-tools/modules.d/lab"
