"""Looks for secrets in files and in what commands print; both as JSON, on standard input and output.

{"needles": {"<what to look for, in hexadecimal digits>": "<name>"}, "since": <time>, "commands": [["journalctl"]]}
is answered by {"files": {"<path>": {"names": [...], "modes": ["f 600", "d 700"]}}, "commands": [[<names>]]}. Files are
all of the VM's but the kernel's own, if they were changed since then; modes are the file's and its directory's.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

_KERNEL = ("/dev", "/proc", "/sys")
_AT_ONCE = 500  # paths on one command line


def files(since: float) -> list[str]:
    """Return all regular files changed since then; what they hold or who may read them."""
    kernel = [word for path in _KERNEL for word in ("-path", path, "-prune", "-o")]
    command = ["find", "/", *kernel, "-type", "f", "-newerct", f"@{since}", "-print0"]
    # Files that vanish meanwhile make it fail.
    listed = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return [os.fsdecode(path) for path in listed.split(b"\0") if path]


def grep(needles: bytes, *arguments: str, stdin: Any = subprocess.DEVNULL) -> bytes:
    """Return what grep prints; it is given the needles through a pipe, for it is watched itself."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    if os.write(writer, needles) != len(needles):
        raise ValueError("more to look for than a pipe takes")
    os.close(writer)
    command = ["grep", "-F", "-a", "-s", "-D", "skip", "-f", f"/dev/fd/{reader}", *arguments]
    try:
        return subprocess.run(
            command, check=False, stdin=stdin, stdout=subprocess.PIPE, pass_fds=[reader], env={"LC_ALL": "C"}
        ).stdout
    finally:
        os.close(reader)


def mode(path: str) -> str:
    status = Path(path).stat()
    return f"{'d' if stat.S_ISDIR(status.st_mode) else 'f'} {stat.S_IMODE(status.st_mode):o}"


def in_files(needles: dict[bytes, str], since: float) -> dict[str, Any]:
    wanted, paths = b"\n".join(needles), files(since)
    found: list[str] = []
    for start in range(0, len(paths), _AT_ONCE):
        answer = grep(wanted, "-l", "-Z", "--", *paths[start : start + _AT_ONCE])
        found += [os.fsdecode(name) for name in answer.split(b"\0") if name]
    return {path: {"names": names(needles, grep(wanted, "-o", "--", path)), "modes": modes(path)} for path in found}


def modes(path: str) -> list[str]:
    return [mode(path), mode(str(Path(path).parent))]


def names(needles: dict[bytes, str], matched: bytes) -> list[str]:
    return sorted({needles[line] for line in matched.splitlines()})


def in_output(needles: dict[bytes, str], command: list[str]) -> list[str]:
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        return names(needles, grep(b"\n".join(needles), "-o", stdin=process.stdout))


def main() -> None:
    order = json.load(sys.stdin)
    needles = {bytes.fromhex(needle): name for needle, name in order["needles"].items()}
    answer = {
        "files": in_files(needles, order["since"]) if order["since"] is not None else {},
        "commands": [in_output(needles, command) for command in order["commands"]],
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
