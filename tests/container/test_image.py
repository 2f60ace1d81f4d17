"""The image's archive, looked into where it was built."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest

from csi_solidfire import __version__
from lab.driver_image import NAME, driver_image

# No VM, but the image, which is built for the VM tests.
pytestmark = [pytest.mark.vm, pytest.mark.timeout(900), pytest.mark.xdist_group("container")]

_MIB = 1 << 20
_UNCHECKED_HASH = 0b01  # the flags of a compiled file, PEP 552


@pytest.fixture(scope="module")
def archive() -> Iterator[tarfile.TarFile]:
    with tarfile.open(driver_image()) as opened:
        yield opened


@pytest.fixture(scope="module")
def manifest(archive: tarfile.TarFile) -> dict[str, Any]:
    (only,) = _json(archive, "manifest.json")
    return dict(only)


@pytest.fixture(scope="module")
def files(archive: tarfile.TarFile, manifest: dict[str, Any]) -> dict[str, tarfile.TarInfo]:
    """All that the layers hold, by path."""
    found: dict[str, tarfile.TarInfo] = {}
    for layer in manifest["Layers"]:
        with tarfile.open(fileobj=archive.extractfile(layer)) as opened:
            found |= {member.name.rstrip("/"): member for member in opened}
    return found


def _json(archive: tarfile.TarFile, name: str) -> Any:
    member = archive.extractfile(name)
    assert member is not None
    return json.load(member)


def test_it_runs_the_driver_as_nobody_of_importance(archive: tarfile.TarFile, manifest: dict[str, Any]) -> None:
    assert manifest["RepoTags"] == [NAME]
    config = _json(archive, manifest["Config"])["config"]
    assert config["User"] == "65532:65532"  # as a number, so that Kubernetes can tell that it is not root
    assert config["Entrypoint"] == ["/opt/csi-solidfire/bin/csi-solidfire"]


def test_the_driver_s_command_is_found_and_no_program_of_the_system_is_hidden(
    archive: tarfile.TarFile, manifest: dict[str, Any], files: dict[str, tarfile.TarInfo]
) -> None:
    """docs/how-to/rotate-chap.md names the command without its directory."""
    variables = dict(entry.split("=", 1) for entry in _json(archive, manifest["Config"])["config"]["Env"])
    path = variables["PATH"].split(":")
    assert path[-1] == "/opt/csi-solidfire/bin"
    assert "opt/csi-solidfire/bin/csi-solidfire" in files
    assert {"/usr/sbin", "/usr/bin"} < set(path)


def test_it_says_what_it_is(archive: tarfile.TarFile, manifest: dict[str, Any]) -> None:
    labels = _json(archive, manifest["Config"])["config"]["Labels"]
    said = {name.removeprefix("org.opencontainers.image."): text for name, text in labels.items()}
    assert said["title"] == "csi-solidfire"
    assert said["version"] == __version__
    assert said["licenses"] == "Apache-2.0"
    assert "SolidFire" in said["description"]


def test_it_is_small(archive: tarfile.TarFile, manifest: dict[str, Any]) -> None:
    assert sum(archive.getmember(layer).size for layer in manifest["Layers"]) < 270 * _MIB


def test_no_leavings_of_the_build(files: dict[str, tarfile.TarInfo]) -> None:
    leavings = re.compile(
        r"\.deb$|^var/lib/apt/lists/.*_|\.whl$|^root/\.cache/|^src/|^requirements/|/ensurepip/_bundled/"
    )
    assert [name for name, file in files.items() if file.isfile() and leavings.search(name)] == []


def test_python_has_nothing_to_compile(files: dict[str, tarfile.TarInfo]) -> None:
    """The root is read-only, so what is not compiled here is compiled at each start."""
    sources = [name for name in files if re.match(r"(opt/csi-solidfire|usr)/lib/python3\.\d+/.*\.py$", name)]
    assert len(sources) > 1000
    pattern = re.compile(r"/__pycache__/([^/]+)\.cpython-\d+\.pyc$")
    compiled = {pattern.sub(r"/\1.py", name) for name in files if name.endswith(".pyc")}
    assert [name for name in sources if name not in compiled] == []


def test_what_is_compiled_holds_whatever_the_files_times_are(
    archive: tarfile.TarFile, manifest: dict[str, Any]
) -> None:
    """Else Python would compile it again at each start, because a layer's files have another time than when built."""
    timed = []
    for layer in manifest["Layers"]:
        with tarfile.open(fileobj=archive.extractfile(layer)) as opened:
            for member in opened:
                if member.name.endswith(".pyc") and "/lib/python3" in member.name:
                    file = opened.extractfile(member)
                    assert file is not None
                    timed += [member.name] * (int.from_bytes(file.read(8)[4:], "little") != _UNCHECKED_HASH)
    assert timed == []


def test_all_of_it_is_roots_and_of_no_time(files: dict[str, tarfile.TarInfo]) -> None:
    """The same inputs make the same layers, whenever they are built."""
    assert {file.mtime for file in files.values()} == {0}
    driver = [file for name, file in files.items() if name.startswith("opt/csi-solidfire/")]
    assert {(file.uid, file.gid) for file in driver} == {(0, 0)}
    assert not [file.name for file in driver if file.mode & 0o022 and not file.issym()]
