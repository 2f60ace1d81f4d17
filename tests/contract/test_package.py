"""The sdist and the wheel, built as anybody would build them: from source, with the pinned compiler."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
GENERATED = {f"csi_solidfire/pb/csi_pb2{end}" for end in (".py", ".pyi", "_grpc.py", "_grpc.pyi")}

# Each build fetches the compiler into an environment of its own.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution of the working tree."""
    folder = tmp_path_factory.mktemp("sdist")
    _run(sys.executable, "-m", "build", "--sdist", "--outdir", folder, ROOT)
    return next(folder.glob("*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel built from the unpacked sdist, to which a second contract was added."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    source = folder / sdist.name.removesuffix(".tar.gz")
    (source / "proto" / "second.proto").write_text(
        'syntax = "proto3"; package second; message Word { string text = 1; }'
    )
    _run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, source)
    return next(folder.glob("*.whl"))


def test_the_sdist_has_what_a_build_needs_and_nothing_generated(sdist: Path) -> None:
    """Contract, hook and licence travel in the sdist; generated code does not."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {"proto/csi.proto", "hatch_build.py", "LICENSE", "csi_solidfire/py.typed"} <= names
    assert not [name for name in names if "_pb2" in name]


def test_the_wheel_carries_the_generated_code_with_its_types(wheel: Path) -> None:
    """An installed driver has modules and stubs of every contract in `proto/`, and says that it is typed."""
    assert GENERATED | {"csi_solidfire/py.typed", "csi_solidfire/pb/second_pb2.py"} <= set(_names(wheel))


def test_the_wheel_carries_the_driver_alone(wheel: Path) -> None:
    """Neither the lab, the tests, the contract's source nor any settings of tools are installed."""
    assert {name.partition("/")[0] for name in _names(wheel)} == {"csi_solidfire", _info(wheel)}
    assert {Path(name).suffix for name in _names(wheel) if name.startswith("csi_solidfire/")} == {
        ".py",
        ".pyi",
        ".typed",
    }


def test_the_driver_loads_with_the_oldest_libraries_allowed(wheel: Path, tmp_path: Path) -> None:
    """The generated code runs, without a warning, on the lowest grpcio and protobuf of the wheel's own ranges."""
    oldest = [f"{name}=={_lowest(wheel, name)}" for name in ("grpcio", "protobuf")]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run(*pip, "--no-deps", "--target", tmp_path, wheel, *oldest, "typing-extensions")
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]; from csi_solidfire.pb import csi_pb2_grpc as it; print(it.__file__)"
    )

    # -S keeps the site-packages of these tests out.
    said = _run(sys.executable, "-W", "error", "-I", "-S", "-c", code, tmp_path)

    assert said.strip() == str(tmp_path / "csi_solidfire" / "pb" / "csi_pb2_grpc.py")


def test_generated_code_is_not_in_git() -> None:
    """Git keeps the contract only; what is generated from it is ignored."""
    assert _run("git", "ls-files", "csi_solidfire/pb").split() == ["csi_solidfire/pb/__init__.py"]
    assert set(_run("git", "check-ignore", *sorted(GENERATED)).split()) == GENERATED


def _run(*command: str | Path) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def _names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def _info(wheel: Path) -> str:
    name, version = wheel.name.split("-")[:2]
    return f"{name}-{version}.dist-info"


def _lowest(wheel: Path, name: str) -> str:
    """The lower bound that the wheel's metadata gives a library."""
    with zipfile.ZipFile(wheel) as archive:
        metadata = Parser().parsestr(archive.read(f"{_info(wheel)}/METADATA").decode())
    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    (wanted,) = (one for one in requirements if one.name == name and one.marker is None)
    (lowest,) = (bound.version for bound in wanted.specifier if bound.operator == ">=")
    return lowest
