"""The driver in its container on a VM, with what the chart gives it and without Kubernetes."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Final

import grpc

from lab.driver_image import driver_image
from lab.site import DRIVER, Node
from lab.vm import Machine

_RUN: Final = Path(__file__).parent / "guest/run.sh"
_GUEST: Final = "/run/container"
_UNIT: Final = "csi-solidfire"
_PROGRAM: Final = "/opt/csi-solidfire/bin/csi-solidfire"
_READY_SECONDS: Final = 120.0
_RUN_SECONDS: Final = 300.0  # to import all of the Kubernetes client, in a VM on a busy machine
_REMOVED: Final = ".wh."  # begins the name of what stands for a file that a layer removes

ROOT: Final = f"{_GUEST}/root"
"""Where the image's root is on the VM."""


def disk(directory: Path) -> Path:
    """Make a disk of the driver's image, in a directory of the caller's: a VM has it sooner than it could unpack it."""
    root, image = directory / "root", directory / "root.img"
    with tarfile.open(driver_image()) as archive:
        manifest = archive.extractfile("manifest.json")
        assert manifest is not None
        for layer in json.load(manifest)[0]["Layers"]:
            _unpack(archive, layer, root)
    # What a runtime makes to mount things on, as the root itself is read-only.
    for name in ("var/lib/kubelet", "csi", "host"):
        (root / name).mkdir(parents=True)
    make = ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", str(root), str(image), "500M"]
    subprocess.run(make, check=True, timeout=300, capture_output=True)
    return image


def _unpack(archive: tarfile.TarFile, layer: str, root: Path) -> None:
    with tarfile.open(fileobj=archive.extractfile(layer)) as files:
        kept = []
        for file in files:
            path = root / file.name
            if path.name.startswith(_REMOVED):
                removed = path.with_name(path.name.removeprefix(_REMOVED))
                shutil.rmtree(removed) if removed.is_dir() else removed.unlink()
            elif not file.isdev():
                kept.append(file)
        files.extractall(root, members=kept, filter="tar")


def insert(machine: Machine, image: Path) -> None:
    """Bring such a disk to a VM."""
    machine.attach("driver-image", image)
    machine.write_file(f"{_GUEST}.sh", _RUN.read_bytes())
    machine.run(f"mkdir -p {ROOT} && mount -o ro /dev/disk/by-id/virtio-driver-image {ROOT}")


def start_node(node: Node, *flags: str) -> None:
    """Start the node service, in place of one that runs."""
    node.stop_driver()
    run(
        node.machine,
        *("node", _PROGRAM, "node", f"--hostname={node.name}", f"--driver-name={DRIVER}", "--log-level=debug"),
        *("--endpoint=tcp://0.0.0.0:9000", "--host-command-prefix=nsenter --target 1 --mount --net --"),
        *("--host-root=/proc/1/root", *flags),
        unit=_UNIT,
    )
    try:
        node.csi.wait_ready(_READY_SECONDS)
    except (TimeoutError, grpc.FutureTimeoutError, grpc.RpcError) as error:
        raise AssertionError(node.driver_log()[-4000:]) from error


def run(machine: Machine, kind: str, *command: str, unit: str = "", wait: bool = False) -> str:
    """Run a command in a container; return what it prints if it is waited for."""
    how = ["--wait", "--pipe"] if wait else []
    service = ["systemd-run", "--quiet", "--collect", *how, *([f"--unit={unit}"] if unit else [])]
    done = machine.run([*service, "/bin/sh", f"{_GUEST}.sh", ROOT, kind, *command], timeout=_RUN_SECONDS)
    return done.stdout
