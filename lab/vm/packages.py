"""Debian packages: what the machine that runs the lab needs, and what its VMs are made of."""

from __future__ import annotations

from typing import Final

HOST: Final = (
    "qemu-system-x86",
    "qemu-utils",  # qemu-img, for the throw-away overlays
    "vde2",  # the unprivileged switch between the VMs
    "mmdebstrap",  # half of debootstrap's time: 44 s against 85 s
    "debian-archive-keyring",  # already there on Debian
    "e2fsprogs",  # mke2fs -d writes a root with no mount
    "util-linux",  # setpriv, unshare
)
"""Needed to build the image and to run VMs."""

GUEST: Final = (
    # The cloud kernel has iSCSI, LIO, device mapper and every filesystem used
    # here, at a quarter of the size of the general one.
    "linux-image-cloud-amd64",
    "initramfs-tools",
    "systemd",
    "systemd-sysv",
    "dbus",
    "udev",
    "kmod",
    "mount",
    "util-linux",
    "procps",
    "iproute2",
    "iputils-ping",
    "qemu-guest-agent",
    "ca-certificates",
    "openssl",
    "python3",
    # The node's side.
    "open-iscsi",
    "multipath-tools",
    "e2fsprogs",
    "xfsprogs",
    "btrfs-progs",
    "sg3-utils",
    # The array's side.
    "python3-rtslib-fb",
    "tgt",
)
"""In the one root that both the array and the nodes boot from."""

SUITE: Final = "bookworm"
PYTHON: Final = "3.11"
"""Python of that suite: wheels for the guest are chosen by it."""
