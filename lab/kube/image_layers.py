"""An image archive without the layers that a node has already.

Emulated, a node takes minutes to read and unpack the driver's image. The archives that buildah and docker write name
their layers in a way that containerd does not trust, so it reads them all; an OCI archive names them by their digests,
and may leave out what is there.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any

_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def write_missing(archive: Path, output: IO[bytes], present: Collection[str]) -> None:
    """Write an OCI archive of the images of a docker archive.

    Args:
        archive: What `docker save`, `buildah push docker-archive:` and `image_archive` write.
        output: Where to.
        present: Digests, `sha256:...`, of what is left out.
    """
    with tarfile.open(archive) as read, tarfile.open(fileobj=output, mode="w") as written:
        images = [_write_image(image, read, written, present) for image in json.loads(_read(read, "manifest.json"))]
        index = {"schemaVersion": 2, "manifests": [manifest for named in images for manifest in named]}
        _add(written, "index.json", json.dumps(index).encode())
        _add(written, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')


def _write_image(
    image: dict[str, Any], read: tarfile.TarFile, written: tarfile.TarFile, present: Collection[str]
) -> list[dict[str, Any]]:
    """Write an image's blobs and return its entries in the index, one for each of its names."""

    def blob(kind: str, data: bytes) -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if digest not in present:
            _add(written, f"blobs/{digest.replace(':', '/')}", data)
        return {"mediaType": kind, "digest": digest, "size": len(data)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": blob(_CONFIG, _read(read, image["Config"])),
        "layers": [blob(_LAYER, _read(read, layer)) for layer in image["Layers"]],
    }
    entry = blob(_MANIFEST, json.dumps(manifest).encode())
    return [entry | {"annotations": {"io.containerd.image.name": name}} for name in image["RepoTags"]]


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is no file")
    return file.read()


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))
