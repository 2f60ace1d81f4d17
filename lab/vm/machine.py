"""One running VM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from lab.vm import hardware, transfer
from lab.vm.agent import Agent, Result
from lab.vm.children import Children, tail
from lab.vm.errors import LabError, Unanswered
from lab.vm.identity import Identity, wake
from lab.vm.monitor import Monitor
from lab.vm.wire import Deadline

if TYPE_CHECKING:
    from lab.vm.image import Image

Card = Literal["management", "storage"]

_RESTORE_TIMEOUT: Final = 60.0  # seconds; about one, where nothing else runs
_BOOT_TIMEOUT: Final = 300.0


class Machine:
    """A VM restored from the image, on throw-away copies of its disks.

    Made by `Run.start`. Its methods may be called by several threads.
    """

    def __init__(
        self, identity: Identity, files: hardware.Files, image: Image, children: Children, *, keep_open: bool = True
    ) -> None:
        self.identity: Final = identity
        self.agent: Final = Agent(files.agent, keep_open=keep_open)
        self.monitor: Final = Monitor(files.monitor)
        self.files: Final = files
        self.forwards: dict[int, int] = {}
        """Ports of the host's loopback, by the guest's TCP port they lead to."""
        self._image = image
        self._children = children

    @property
    def name(self) -> str:
        return self.identity.name

    @property
    def image(self) -> Image:
        """What it was restored from."""
        return self._image

    @property
    def console_log(self) -> Path:
        """What the guest's kernel said; QEMU's own words are in `files.log`."""
        return self.files.console

    def run(
        self,
        command: str | Sequence[str],
        *,
        input: str | bytes = b"",  # noqa: A002, as subprocess.run calls it
        env: Mapping[str, str] | None = None,
        timeout: float = 60.0,
        check: bool = True,
    ) -> Result:
        """Run a command as root; see `Agent.run`."""
        return self.agent.run(command, input=input, env=env, timeout=timeout, check=check)

    def write_file(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Write a file of at most some MiB (`send_tree` is quicker for more); see `Agent.write_file`."""
        self.agent.write_file(path, data, mode=mode)

    def read_file(self, path: str) -> bytes:
        """Read a file of at most some MiB."""
        return self.agent.read_file(path)

    def send_tree(self, trees: Mapping[str, Path]) -> None:
        """Put directories or files of the host into the guest; see `transfer.send`."""
        transfer.send(self.agent, trees)

    def attach(self, name: str, disk: Path) -> None:
        """Give the running guest a disk to read, `/dev/disk/by-id/virtio-<name>` there.

        Args:
            name: Up to 20 characters; nothing else of this VM's has it.
            disk: A raw image. Several VMs may have the same.
        """
        file = {"driver": "file", "filename": str(disk)}
        self.monitor.execute("blockdev-add", {"driver": "raw", "node-name": name, "read-only": True, "file": file})
        self.monitor.execute("device_add", {"driver": "virtio-blk-pci", "drive": name, "id": name, "serial": name})
        self.run(["udevadm", "wait", "--timeout=30", f"/dev/disk/by-id/virtio-{name}"])

    def forward(self, guest_port: int, host_port: int = 0) -> int:
        """Let a port of the host's loopback, a free one if none is said, lead to a TCP port of the guest; return it."""
        if guest_port not in self.forwards:
            self.forwards[guest_port] = self.monitor.forward(hardware.CARDS["management"], guest_port, host_port)
        return self.forwards[guest_port]

    def pause(self) -> None:
        """Freeze the VM: connections stay open, nothing answers."""
        self.monitor.execute("stop")

    def resume(self) -> None:
        """Wake a frozen VM, and set its clock to the present."""
        self.monitor.execute("cont")
        wake(self.agent)

    def set_clock(self) -> None:
        """Give the guest the host's time."""
        wake(self.agent)

    def cut(self, card: Card) -> None:
        """Unplug a network card; the guest sees that it has lost its carrier."""
        self.monitor.set_link(hardware.CARDS[card], up=False)

    def restore_link(self, card: Card) -> None:
        """Plug a network card in again."""
        self.monitor.set_link(hardware.CARDS[card], up=True)

    def kill(self) -> None:
        """Cut the power, with no warning to the guest.

        What the guest had flushed to its disks is on them. `power_on` boots
        from them; `Run.start` with the same name begins anew from the image.
        """
        self._children.kill(self.name)
        self.agent.close()

    @property
    def is_running(self) -> bool:
        """Whether QEMU runs, a paused VM included."""
        return self._children.exits().get(self.name, -1) is None

    def power_on(self) -> None:
        """Boot a killed VM from its own disks: a real boot, so some 30 seconds."""
        self._spawn(hardware.Memory(self._image.memory_mib), hardware.boot(self._image.kernel, self._image.initramfs))
        self._become(_BOOT_TIMEOUT)
        self.agent.run("systemctl is-system-running --wait", check=False, timeout=_BOOT_TIMEOUT)

    def restore(self) -> None:
        """Start from the image's saved state, on disks as they were then."""
        self._spawn(hardware.Memory(self._image.memory_mib, self._image.memory), hardware.restore())
        self._children.await_socket(self.name, self.files.monitor, self.files.log)
        try:
            self.monitor.load(self._image.state, timeout=_RESTORE_TIMEOUT)
        except LabError:
            self._children.blame(self.name, self.files.log)
            raise
        self._become(_RESTORE_TIMEOUT)

    @property
    def disks(self) -> hardware.Disks:
        directory = self.files.directory
        return hardware.Disks(directory / f"{self.name}.root.qcow2", directory / f"{self.name}.data.qcow2")

    def _spawn(self, memory: hardware.Memory, start: list[str]) -> None:
        for socket in (self.files.agent, self.files.monitor, self.files.shell):
            socket.unlink(missing_ok=True)
        switch = self._children.switch
        command = hardware.command(self.files, self.disks, switch, memory, *start)
        self._children.spawn(self.name, command, self.files.log)

    def _become(self, timeout: float) -> None:
        """Give the VM its identity, and its forwards the ports that they had."""
        await_agent(self.agent, self._children, self.files, timeout)
        self.identity.put_on(self.agent)
        wanted, self.forwards = self.forwards, {}
        for guest_port, host_port in wanted.items():
            card = hardware.CARDS["management"]
            self.forwards[guest_port] = self.monitor.forward(card, guest_port, host_port)


def await_agent(agent: Agent, children: Children, files: hardware.Files, timeout: float) -> None:
    """Wait until a VM's guest agent answers.

    Raises:
        MachineDied: QEMU ended instead.
        Unanswered: Not within that many seconds.
    """
    deadline = Deadline(timeout)
    while True:
        try:
            agent.call("guest-ping", timeout=min(2.0, max(deadline.left(), 0.1)))
        except Unanswered as error:
            children.check_alive(files.name, files.log)
            if deadline.passed():
                raise Unanswered(f"{files.name} did not start in {timeout:.0f} s: {tail(files.console)}") from error
        else:
            return
