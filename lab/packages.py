"""Debian packages that the lab needs on the machine it runs on: found missing, asked for, installed.

python -m lab.packages [PACKAGE...]     # those for VMs, and these
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from lab.vm.packages import HOST


def missing(names: Sequence[str] = HOST) -> list[str]:
    """Return the packages that are not installed."""
    asked = subprocess.run(
        ["dpkg-query", "--show", "--showformat", "${db:Status-Abbrev} ${Package}\n", *names],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    installed = {line.split()[1] for line in asked.stdout.splitlines() if line.startswith("ii ")}
    return [name for name in names if name not in installed]


def main(more: Sequence[str] = ()) -> int:
    names = (*HOST, *more)
    if shutil.which("dpkg-query") is None:
        print(f"This is not a Debian: install what these packages hold yourself: {' '.join(names)}")
        return 0 if shutil.which("qemu-system-x86_64") else 1
    wanted = missing(names)
    if not wanted:
        return 0
    print(f"The lab needs these Debian packages: {' '.join(wanted)}")
    prefix = _as_root()
    if prefix is None:
        return 1
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *wanted]):
        print(f"  apt-get {command[0]} ...", flush=True)
        done = subprocess.run([*prefix, "apt-get", *command], env=environment, stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            print(f"apt-get {' '.join(command)} failed with status {done.returncode}")
            return 1
    return 0


def _as_root() -> list[str] | None:
    """Return what to put before a command that needs root; None if nobody allows it."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        print("Not root and no sudo: install them yourself, then go on.")
        return None
    if not sys.stdin.isatty():
        return ["sudo", "-n"]
    answer = input("Install them now with sudo? [y/N] ")
    return ["sudo"] if answer.strip().lower() in ("y", "yes") else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
