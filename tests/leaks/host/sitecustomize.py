"""Python runs this first in each process that has this directory in its path: it writes down what leaves the process.

The file is $LEAKS_REPORT: what the process was started with, every program that it starts, with arguments and
environment, and every file that it opens to write.
"""

from __future__ import annotations

import os
import sys

_REPORT = os.open(os.environ["LEAKS_REPORT"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
_STARTS = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system")
_WRITES = os.O_WRONLY | os.O_RDWR


def _note(what: str, told: object) -> None:
    os.write(_REPORT, f"{os.getpid()} {what} {told!r}\n".encode(errors="backslashreplace"))


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event in _STARTS:
        _note("runs", arguments)
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES:
        path = arguments[0]
        if isinstance(path, str | bytes | os.PathLike):
            _note("writes", os.path.abspath(os.fsdecode(path)))  # noqa: PTH100 - pathlib would be heard here again


_note("is", (sys.orig_argv, dict(os.environ)))
sys.addaudithook(_hook)
