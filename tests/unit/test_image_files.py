"""What the driver's container image is made from, without building it."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from csi_solidfire import __version__
from lab import driver_image

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
LOCKED = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?: ; (?P<marker>[^\\]+?))? \\$", re.MULTILINE)


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def locked(file: str) -> dict[str, str]:
    """Return the versions that a lock file chooses."""
    text = (ROOT / f"deploy/image/{file}.txt").read_text()
    return {match["name"]: match["version"] for match in LOCKED.finditer(text)}


@pytest.mark.parametrize(
    ("file", "wanted"),
    [("run", project()["project"]["dependencies"]), ("build", project()["build-system"]["requires"])],
)
def test_what_is_locked_is_what_is_asked_for(file: str, wanted: list[str]) -> None:
    """If it is not: `make lock`."""
    chosen = locked(file)
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(chosen[requirement.name]), f"{file}.txt has another {requirement.name}"


@pytest.mark.parametrize("file", ["run", "build"])
def test_every_package_is_locked_by_its_hash(file: str) -> None:
    text = (ROOT / f"deploy/image/{file}.txt").read_text()
    packages = re.split(r"\n(?=[a-z])", text.split("make lock\n")[1].strip())
    assert len(packages) == len(locked(file))
    for package in packages:
        assert "--hash=sha256:" in package


def test_the_image_has_the_drivers_version() -> None:
    assert f"ARG VERSION={__version__}\n" in DOCKERFILE


def test_what_is_copied_is_what_the_build_can_see() -> None:
    """The inputs by which the lab knows an image are the files that the Dockerfile copies, all of them and no other."""
    copied = set()
    for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE):
        *sources, _ = shlex.split(line)
        for source in sources:
            found = [ROOT / source] if (ROOT / source).exists() else list(ROOT.glob(source))
            assert found, f"{source} is not there"
            copied |= {file for top in found for file in ([top] if top.is_file() else top.rglob("*.p*[yo]*"))}
    inputs = set(driver_image.inputs()) - {ROOT / "Dockerfile"}
    generated = {file for file in copied if re.search(r"__pycache__|_cache/|_pb2", str(file))}
    assert copied - generated <= inputs
    assert {file.suffix for file in inputs - copied} <= {".toml", ".typed"}


def test_no_architecture_and_no_other_host_is_named() -> None:
    assert not re.search(r"amd64|x86|arm64|aarch64|https?://", DOCKERFILE)


def test_another_driver_is_another_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = driver_image.key()
    assert before == driver_image.key()
    changed = tmp_path / "tree"
    for file in [*driver_image.inputs(), ROOT / ".dockerignore"]:
        copy = changed / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    monkeypatch.setattr(driver_image, "_ROOT", changed)
    assert driver_image.key() == before
    (changed / "csi_solidfire/cli.py").write_text("# changed\n")
    assert driver_image.key() != before
