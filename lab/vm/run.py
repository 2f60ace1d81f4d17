"""A run: a switch and some VMs that live and end together."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import subprocess
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from lab.vm import hardware
from lab.vm.children import Children, is_locked, take_lock
from lab.vm.errors import LabError
from lab.vm.identity import Identity, named
from lab.vm.image import Image, cache
from lab.vm.machine import Machine
from lab.vm.wire import check_path

_RECORD: Final = "run.json"
_LONGEST_FILE: Final = "a-name-of-a-vm.monitor"


class Run:
    """A directory, a network switch and VMs; nothing of it is left when it ends.

    A run ends with `close`, as a context manager, or with the process that
    made it, however that ends. One made by `detached` ends with `down` only.
    """

    def __init__(self, image: Image, *, logs: Path | None = None) -> None:
        """Begin a run.

        Args:
            image: What its VMs are restored from.
            logs: Where the VMs' logs are written; if None, they go with the run.
        """
        self._set_up(image, secrets.token_hex(4), logs=logs, detached=False)

    def _set_up(self, image: Image, name: str, *, logs: Path | None, detached: bool) -> None:
        self.directory, lock = _new_directory(name)
        self.image = image
        self.machines: dict[str, Machine] = {}
        self._logs = logs or self.directory
        self._logs.mkdir(parents=True, exist_ok=True)
        self._record_lock = threading.Lock()
        self._detached = detached
        self._children = Children.supervise(self.directory, lock, detached=detached)
        try:
            self._children.spawn_switch()
        except BaseException:
            self._children.end()
            raise
        self.write_record()

    @classmethod
    def detached(cls, image: Image, name: str = "lab", *, logs: Path | None = None) -> Self:
        """Begin a run that goes on when this process ends.

        Raises:
            AlreadyUp: A run of that name is there.
        """
        run = cls.__new__(cls)
        run._set_up(image, name, logs=logs, detached=True)
        return run

    @classmethod
    def attach(cls, name: str = "lab") -> Self | None:
        """Return the detached run of that name, if it is there."""
        directory = _runs() / name
        if not is_locked(directory):
            return None
        record = json.loads((directory / _RECORD).read_text())
        run = cls.__new__(cls)
        run.directory = directory
        run.image = Image(Path(record["image"]))
        run._logs = Path(record["logs"])
        run._record_lock = threading.Lock()
        run._detached = True
        run._children = Children(directory)
        run.machines = {}
        for machine_name, entry in record["machines"].items():
            machine = run._machine(named(machine_name, entry["addresses"]), Image(Path(entry["image"])))
            machine.forwards = {int(guest): host for guest, host in entry["forwards"].items()}
            run.machines[machine_name] = machine
        return run

    def start(
        self, name: str, address: Sequence[str] = (), forwards: Iterable[int] = (), *, image: Image | None = None
    ) -> Machine:
        """Restore a VM from the image and make it itself. May be called by several threads at once.

        Args:
            name: Its host name. A VM of that name which was killed is replaced.
            address: IPv4 addresses on the storage network (a /24).
            forwards: TCP ports of the guest to be reached from the host's
                loopback; see `Machine.forwards` for the host's.
            image: Another one than the run's.
        """
        machine = self._machine(named(name, address), image or self.image)
        check_path(machine.files.monitor)
        self._make_overlays(machine)
        machine.restore()
        for port in forwards:
            machine.forward(port)
        self.machines[name] = machine
        self.write_record()
        return machine

    def spawn(self, name: str, argv: Sequence[str], log: Path) -> int:
        """Run a program of this machine that ends with the run, in place of one of that name.

        Its working directory is the run's, its standard input an idle pipe.

        Returns:
            Its process id.
        """
        self._children.kill(name)
        return self._children.spawn(name, argv, log)

    def kill(self, name: str) -> None:
        """End a program that `spawn` started, at once; return when it is gone."""
        self._children.kill(name)

    def exits(self) -> dict[str, int | None]:
        """The exit status of each program and VM, or None while it runs."""
        return self._children.exits()

    def close(self) -> None:
        """End the VMs and remove everything; leaves a detached run as it is."""
        for machine in list(self.machines.values()):
            machine.agent.close()
        if not self._detached:
            self._children.end()

    def down(self) -> None:
        """End the VMs and remove everything; may be repeated."""
        for machine in list(self.machines.values()):
            machine.agent.close()
        self._children.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _machine(self, identity: Identity, image: Image) -> Machine:
        files = hardware.Files(self.directory, self._logs, identity.name)
        return Machine(identity, files, image, self._children, keep_open=not self._detached)

    def _make_overlays(self, machine: Machine) -> None:
        overlays, bases = machine.disks, machine.image.disks
        for overlay, base in ((overlays.root, bases.root), (overlays.data, bases.data)):
            overlay.unlink(missing_ok=True)
            subprocess.run(
                ["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", bases.format, overlay],
                check=True,
                timeout=60,
            )

    def write_record(self) -> None:
        """Write down what `attach` must know; to be called when a VM's forwards have changed."""
        with self._record_lock:
            record = {
                "image": str(self.image.directory),
                "logs": str(self._logs),
                "machines": {
                    name: {
                        "addresses": machine.identity.addresses,
                        "forwards": machine.forwards,
                        "image": str(machine.image.directory),
                    }
                    for name, machine in list(self.machines.items())
                },
            }
            new = self.directory / f"{_RECORD}.new"
            new.write_text(json.dumps(record, indent=2))
            new.replace(self.directory / _RECORD)


class AlreadyUp(LabError):
    """A detached run of that name is there."""


def _runs() -> Path:
    return cache() / "runs"


def _new_directory(name: str) -> tuple[Path, int]:
    """Make a run's directory and hold its lock; remove those whose supervisor was killed."""
    directory = _runs() / name
    check_path(directory / _LONGEST_FILE)
    with _all_runs():
        for other in _runs().iterdir():
            if other.is_dir() and not is_locked(other):
                shutil.rmtree(other, ignore_errors=True)
        try:
            directory.mkdir(mode=0o700)
        except FileExistsError:
            raise AlreadyUp(f"a run named {name} is there already") from None
        return directory, take_lock(directory)


@contextlib.contextmanager
def _all_runs() -> Iterator[None]:
    _runs().mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(_runs() / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
