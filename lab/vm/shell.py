"""An interactive shell on a VM, through its virtio console: no network, no SSH, no password."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shlex
import shutil
import signal
import socket
import sys
import termios
import tty
from collections.abc import Iterator
from types import FrameType
from typing import Final

from lab.vm.machine import Machine

_UNIT: Final = "lab-shell"
_TERMINAL: Final = "/dev/hvc0"
_READY: Final = f"/run/{_UNIT}.ready"
_END_OF_INPUT: Final = b"\x04"


def interact(machine: Machine) -> None:
    """Connect this process's terminal, or its input and output, to a shell on the VM until the shell ends.

    One at a time on each VM: a second one ends the first.
    """
    with socket.socket(socket.AF_UNIX) as console:
        console.connect(str(machine.files.shell))
        end = f"lab-shell-{secrets.token_hex(8)}"
        _start_shell(machine, end)
        with _raw_terminal(), _window_size(machine):
            _relay(console, f"\x1b]9001;{end}\x07".encode())


def _start_shell(machine: Machine, end: str) -> None:
    """Start a login shell that says when it ends, in a sequence that terminals do not show."""
    # systemd resets the terminal's size when it takes it.
    script = f"{_resize()}; touch {_READY}; bash -l; printf '\\033]9001;{end}\\007'"
    properties = (
        "StandardInput=tty",
        "StandardOutput=tty",
        "StandardError=tty",
        f"TTYPath={_TERMINAL}",
        "TTYReset=yes",
    )
    start = [
        *("systemd-run", "--quiet", "--collect", f"--unit={_UNIT}", "--working-directory=/root", "--setenv=HOME=/root"),
        f"--setenv=TERM={os.environ.get('TERM', 'dumb')}",
        *(f"--property={each}" for each in properties),
        *("bash", "-c", script),
    ]
    # What is typed before systemd has reset the terminal may be lost: the script runs after that.
    begun = f"until [ -e {_READY} ]; do sleep 0.05; done"
    machine.run(f"systemctl stop {_UNIT} 2> /dev/null; rm -f {_READY}; {shlex.join(start)} && {begun}")


def _resize() -> str:
    size = shutil.get_terminal_size()
    return f"stty -F {_TERMINAL} rows {size.lines} cols {size.columns}"


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _window_size(machine: Machine) -> Iterator[None]:
    """Tell the guest when the terminal's window changes its size."""

    def changed(signum: int, frame: FrameType | None) -> None:
        machine.run(_resize(), check=False)

    before = signal.signal(signal.SIGWINCH, changed)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


def _relay(console: socket.socket, end: bytes) -> None:
    """Copy both ways until the mark comes, or the VM is gone."""
    sources: list[int] = [console.fileno(), sys.stdin.fileno()]
    held = b""
    while True:
        ready, _, _ = select.select(sources, [], [])
        if sys.stdin.fileno() in ready:
            data = os.read(sys.stdin.fileno(), 4096)
            console.sendall(data or _END_OF_INPUT)
            if not data:
                sources.remove(sys.stdin.fileno())
        if console.fileno() in ready:
            received = console.recv(65536)
            shown, mark, _ = (held + received).partition(end)
            held = b"" if mark else _beginning(shown, end)
            _show(shown[: len(shown) - len(held)])
            if mark or not received:
                return


def _beginning(data: bytes, mark: bytes) -> bytes:
    """The end of the data, as far as it may be the mark's beginning."""
    for length in range(min(len(mark) - 1, len(data)), 0, -1):
        if data.endswith(mark[:length]):
            return data[-length:]
    return b""


def _show(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
