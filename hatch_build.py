"""Generates `csi_solidfire/pb` from `proto/*.proto` whenever the package is built.

The build runs this with the compiler that `pyproject.toml` pins. To regenerate in place after
a change of a .proto file, run it as a program; it fetches that same compiler first.
"""

from __future__ import annotations

import os
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
OUTPUTS = ("python", "mypy", "grpc_python", "mypy_grpc")


class ProtobufHook(BuildHookInterface[Any]):
    """Puts the generated modules into wheels; an sdist carries their sources instead."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel":
            return
        generate(Path(self.root))
        # Git ignores them, and so would hatchling.
        build_data["artifacts"].append("/csi_solidfire/pb/*_pb2*")


def generate(root: Path) -> None:
    """Compile every file of `proto/` with the compiler of this environment.

    Raises:
        RuntimeError: The compiler refused a file; what it said is on standard error.
    """
    from grpc_tools import protoc

    well_known = resources.files("grpc_tools") / "_proto"
    # A virtual path: proto/csi.proto is compiled as if it were csi_solidfire/pb/csi.proto, so that
    # csi_pb2_grpc imports csi_solidfire.pb.csi_pb2, and so that the process-wide descriptor pool
    # has no second file called csi.proto when another package brings one.
    arguments = ["protoc", f"-Icsi_solidfire/pb={root / 'proto'}", f"-I{well_known}"]
    arguments += [f"--{output}_out={root}" for output in OUTPUTS]
    arguments += [f"csi_solidfire/pb/{proto.name}" for proto in sorted((root / "proto").glob("*.proto"))]
    if protoc.main(arguments) != 0:
        raise RuntimeError(f"protoc could not compile {root / 'proto'}")


def main() -> None:
    """Regenerate in place, in a throw-away environment with the pinned compiler."""
    from build import ProjectBuilder
    from build.env import DefaultIsolatedEnv

    with DefaultIsolatedEnv() as env:
        env.install(ProjectBuilder(ROOT).build_system_requires)
        code = "import hatch_build; hatch_build.generate(hatch_build.ROOT)"
        # protoc finds its plugins through PATH.
        environment = {**os.environ, **(env.make_extra_environ() or {})}
        subprocess.run([env.python_executable, "-c", code], cwd=ROOT, env=environment, check=True, timeout=600)


if __name__ == "__main__":
    main()
