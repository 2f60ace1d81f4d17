"""The image of a Kubernetes node's VM, saved with containerd running and the images that every cluster needs in it."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lab import programs
from lab.vm import Image
from lab.vm.kind import Kind

_HERE: Final = Path(__file__).parent
_MEMORY_MIB: Final = 2048
_PACKAGES: Final = (
    *("containerd", "runc", "containernetworking-plugins", "iptables", "conntrack", "ethtool", "socat"),
    "busybox-static",  # the image that pods of tests and examples run
)
_SIDECARS: Final = (programs.CSI_PROVISIONER, programs.CSI_ATTACHER)
_ARCHIVE: Final = "/opt/image_archive.py"


def ensure(say: Callable[[str], object]) -> Image:
    """Return the image; a first call builds it, and the programs in it."""
    return Image.ensure([], _kind(say), say=say)


def _kind(say: Callable[[str], object]) -> Kind:
    sidecars = {f"/opt/{program.name}": programs.built(program, say) for program in _SIDECARS}
    return Kind(
        memory_mib=_MEMORY_MIB,
        packages=_PACKAGES,
        files={"/usr/local/bin/kubelet": programs.built(programs.KUBELET, say), **sidecars},
        root=(_HERE / "guest" / "root.sh").read_bytes(),
        prepare=_prepare(),
    )


def _prepare() -> bytes:
    """The script for the guest, after what it needs of ours."""
    versions = "".join(f"echo {shlex.quote(each.version)} > /opt/{each.name}.version\n" for each in _SIDECARS)
    source = (_HERE / "image_archive.py").read_text()
    written = f"cat > {_ARCHIVE} <<'PYTHON'\n{source}PYTHON\n"
    function = f'archive() {{ python3 {_ARCHIVE} "$@"; }}\n'
    return (versions + written + function).encode() + (_HERE / "guest" / "prepare.sh").read_bytes()
