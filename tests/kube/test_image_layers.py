"""Images on their way into a node: nothing is sent twice, nothing is missing."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from lab.kube import image_archive
from lab.kube.image_layers import write_missing

NAME = "docker.io/library/thing:1"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "thing").write_bytes(b"thing")
    path = tmp_path / "thing.tar"
    with path.open("wb") as output:
        image_archive.write(output, NAME, root, ["/thing"])
    return path


def converted(archive: Path, *present: str) -> dict[str, bytes]:
    """Return the files of the OCI archive."""
    output = io.BytesIO()
    write_missing(archive, output, present)
    output.seek(0)
    with tarfile.open(fileobj=output) as tar:
        return {entry.name: _data(tar, entry) for entry in tar}


def _data(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(entry)
    assert file is not None
    return file.read()


def manifest_of(files: dict[str, bytes]) -> dict[str, Any]:
    entry = json.loads(files["index.json"])["manifests"][0]
    assert entry["annotations"] == {"io.containerd.image.name": NAME}
    found: dict[str, Any] = json.loads(files[f"blobs/{entry['digest'].replace(':', '/')}"])
    return found


def test_an_image_is_the_same_in_both_forms(archive: Path) -> None:
    files = converted(archive)

    manifest = manifest_of(files)
    config = json.loads(files[f"blobs/{manifest['config']['digest'].replace(':', '/')}"])
    assert config["config"]["Entrypoint"] == ["/thing"]
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
    with tarfile.open(fileobj=io.BytesIO(files[f"blobs/{manifest['layers'][0]['digest'].replace(':', '/')}"])) as layer:
        assert layer.getnames() == ["thing"]


def test_a_layer_that_is_there_is_left_out_and_still_named(archive: Path) -> None:
    layer = manifest_of(converted(archive))["layers"][0]["digest"]

    files = converted(archive, layer)

    assert f"blobs/{layer.replace(':', '/')}" not in files
    assert manifest_of(files)["layers"][0]["digest"] == layer
