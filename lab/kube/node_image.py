"""The image of a Kubernetes node's VM, saved with containerd running and the images that every cluster needs in it."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from lab import programs
from lab.kube.image_layers import write_missing
from lab.vm import Image
from lab.vm.agent import Agent
from lab.vm.kind import Kind
from lab.vm.transfer import send

_HERE: Final = Path(__file__).parent
_MEMORY_MIB: Final = 2048
_PACKAGES: Final = (
    *("containerd", "runc", "containernetworking-plugins", "iptables", "conntrack", "ethtool", "socat"),
    "busybox-static",  # the image that pods of tests and examples run
)
_SIDECARS: Final = (programs.CSI_PROVISIONER, programs.CSI_ATTACHER)
_INBOX: Final = "/opt/images"
_IMPORT_SECONDS: Final = 900.0
_ARCHIVE: Final = "/opt/image_archive.py"


def ensure(say: Callable[[str], object], archives: Sequence[Path] = ()) -> Image:
    """Return the image; a first call builds it, and the programs in it.

    Args:
        say: Told what takes long.
        archives: Of container images that nodes have from the start. Emulated, unpacking one takes minutes: this is
            done once, as long as the archives' names stay the same, and then for the layers that changed.
    """
    image = Image.ensure([], _kind(say), say=say)
    if not archives:
        return image
    names = ", ".join(sorted(archive.name for archive in archives))

    def change(agent: Agent) -> None:
        for archive in archives:
            add(agent, archive)

    return image.changed(f"giving the nodes {names}", change, say=say)


def add(agent: Agent, archive: Path) -> None:
    """Give a node the images of a docker archive; layers that it has are not sent."""
    path = f"{_INBOX}/{archive.name}"
    present = agent.run("ctr -n k8s.io content ls -q").stdout.split()
    with tempfile.NamedTemporaryFile() as missing:
        write_missing(archive, missing, present)
        missing.flush()
        send(agent, {path: Path(missing.name)})
    agent.run(f"ctr -n k8s.io images import '{path}' && rm '{path}' && sync", timeout=_IMPORT_SECONDS)


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
