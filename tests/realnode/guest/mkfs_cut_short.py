#!/usr/bin/python3
"""Stands in the way of mkfs.* in a node VM: runs the real one and ends it before its n-th write to the disk.

It is put into /usr/local/sbin, which comes first in the driver's PATH, under the name of the program it stands for.
/run/mkfs-plan says what to do: 0 is after the last write, and without a plan the real one is left alone. What has
been done is said in /run/mkfs-cut. x86-64 only, as the lab's VMs are.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

_TRACEME, _PEEKUSER, _SYSCALL, _SETOPTIONS = 0, 3, 24, 0x4200
_SYSGOOD, _EXITKILL = 1, 0x100000
_ORIG_RAX = 15 * 8
_WRITES = {1, 18, 20, 296}  # write, pwrite64, writev, pwritev
_PLAN, _CUT = Path("/run/mkfs-plan"), Path("/run/mkfs-cut")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def main() -> int:
    real = f"/usr/sbin/{Path(sys.argv[0]).name}"
    if not _PLAN.exists():
        os.execv(real, [real, *sys.argv[1:]])  # noqa: S606 - a list of arguments
    plan = json.loads(_PLAN.read_text())
    child = os.fork()
    if child == 0:
        if plan["nth"]:
            _libc.ptrace(_TRACEME, 0, None, None)
        os.execv(real, [real, *sys.argv[1:]])  # noqa: S606 - likewise
    if plan["nth"] and not runs_until(child, plan["nth"]):
        return 1
    cut(child, plan["how"] if plan["nth"] else "kill late")
    return 0


def runs_until(child: int, nth: int) -> bool:
    """Let it run until it is about to write the n-th time; False if it ends before."""
    os.waitpid(child, 0)
    _libc.ptrace(_SETOPTIONS, child, None, _SYSGOOD | _EXITKILL)
    entering, deliver = True, 0
    while True:
        _libc.ptrace(_SYSCALL, child, None, deliver)
        _, status = os.waitpid(child, 0)
        if not os.WIFSTOPPED(status):
            return False
        stopped = os.WSTOPSIG(status)
        deliver = 0 if stopped & 0x80 else stopped
        if deliver:
            continue
        if entering and _libc.ptrace(_PEEKUSER, child, _ORIG_RAX, None) in _WRITES:
            nth -= 1
            if nth == 0:
                return True
        entering = not entering


def cut(child: int, how: str) -> None:
    """End it, or wait for its end, and the driver with it if wanted; or stand still until the power is cut."""
    if how == "freeze":
        os.sync()  # what was written so far reaches the disk: the power cut will take the rest
        _CUT.touch()
        signal.pause()
    if how == "kill both":
        _CUT.touch()  # systemd ends this process, too, once the driver is dead.
        os.kill(os.getppid(), signal.SIGKILL)
    if how == "kill late":
        os.waitpid(child, 0)
    else:
        os.kill(child, signal.SIGKILL)
    _CUT.touch()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
