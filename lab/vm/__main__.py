"""`python -m lab.vm`: build the VMs' image, throw it away, and look into VMs that were left up."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import tomllib
from pathlib import Path

from lab.vm.errors import LabError
from lab.vm.image import Image, clean
from lab.vm.machine import Machine
from lab.vm.run import Run
from lab.vm.shell import interact

_PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def _build(arguments: argparse.Namespace) -> int:
    requirements: list[str] = tomllib.loads(_PYPROJECT.read_text())["project"]["dependencies"]
    started = time.monotonic()
    found = Image.find(requirements)
    image = found or Image.ensure(requirements)
    how = "is there" if found else f"built in {time.monotonic() - started:.0f} s"
    used = subprocess.run(["du", "-sh", image.directory], capture_output=True, text=True, check=True, timeout=60)
    print(f"The VMs' image {how}: {image.directory}, {used.stdout.split()[0]}B")
    return 0


def _clean(arguments: argparse.Namespace) -> int:
    clean()
    return 0


def _shell(arguments: argparse.Namespace) -> int:
    interact(_machine(arguments.machine, arguments.run))
    return 0


def _exec(arguments: argparse.Namespace) -> int:
    result = _machine(arguments.machine, arguments.run).run(arguments.command, check=False, timeout=arguments.timeout)
    sys.stdout.buffer.write(result.output)
    sys.stdout.flush()
    sys.stderr.buffer.write(result.errors)
    return result.exit_code


def _down(arguments: argparse.Namespace) -> int:
    if run := Run.attach(arguments.run):
        run.down()
    return 0


def _machine(name: str, run_name: str) -> Machine:
    run = Run.attach(run_name)
    if run is None:
        raise LabError(f"no lab named {run_name!r} is up; `make lab` starts one")
    if name not in run.machines:
        raise LabError(f"no machine named {name!r}; there are {', '.join(sorted(run.machines))}")
    return run.machines[name]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab.vm", description=__doc__)
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    def action(name: str, do: object, text: str) -> argparse.ArgumentParser:
        sub = actions.add_parser(name, help=text, description=text)
        sub.set_defaults(do=do)
        return sub

    def of_a_run(sub: argparse.ArgumentParser) -> argparse.ArgumentParser:
        sub.add_argument("--run", default="lab", help="which of the runs that were left up (%(default)s)")
        return sub

    action("build", _build, "build the VMs' image, unless the cache has it")
    action("clean", _clean, "throw the cached images away")
    of_a_run(action("down", _down, "end VMs that were left up"))
    of_a_run(action("shell", _shell, "an interactive shell on a VM")).add_argument("machine")
    execute = of_a_run(action("exec", _exec, "run one command on a VM as root"))
    execute.add_argument("--timeout", type=float, default=60.0, help="seconds (%(default)s)")
    execute.add_argument("machine")
    execute.add_argument("command", nargs=argparse.REMAINDER)
    return parser


def main() -> int:
    arguments = _parser().parse_args()
    try:
        return int(arguments.do(arguments))
    except LabError as error:
        print(f"lab.vm: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
