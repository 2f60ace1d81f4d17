"""An image archive from a directory, as `ctr images import` and others take it.

Runs in a guest as well, where only Python's own library is: `python3 image_archive.py NAME ROOT ENTRYPOINT... > FILE`.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def write(output: BinaryIO, name: str, root: Path, entrypoint: Sequence[str]) -> None:
    """Write an image of one layer.

    Args:
        output: Where to; need not be seekable.
        name: With registry and tag: `docker.io/library/busybox:1`.
        root: What is in it; all of it root's, as the modes say.
        entrypoint: What it runs.
    """
    layer = _layer(root)
    digest = hashlib.sha256(layer).hexdigest()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": list(entrypoint), "Env": [_PATH]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created_by": "csi-solidfire lab"}],
    }
    encoded = json.dumps(config).encode()
    config_name, layer_name = f"{hashlib.sha256(encoded).hexdigest()}.json", f"{digest}/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": [name], "Layers": [layer_name]}]
    with tarfile.open(fileobj=output, mode="w|") as archive:
        _add(archive, config_name, encoded)
        _add(archive, layer_name, layer)
        _add(archive, "manifest.json", json.dumps(manifest).encode())


def _layer(root: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(root.rglob("*")):
            tar.add(path, arcname=str(path.relative_to(root)), recursive=False, filter=_as_root)
    return buffer.getvalue()


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mtime = 0
    return entry


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


if __name__ == "__main__":
    write(sys.stdout.buffer, sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
