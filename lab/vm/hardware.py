"""The virtual hardware: QEMU's command line, the same when a state is saved and when it is loaded.

Why software emulation always: it runs on any Linux machine without
privileges, /dev/kvm is often missing or of no use inside another VM (guests
hung on it there), and a state saved under one accelerator cannot be loaded
under the other. Restored VMs need no boot, which is where emulation hurts.

Why the guest's memory is a file: the capability `x-ignore-shared` leaves it
out of the saved state, and a restored VM maps the file privately. Nothing is
read to restore it, and all VMs share the pages that they do not change.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

QEMU: Final = "qemu-system-x86_64"
MEMORY_MIB: Final = 1024
DATA_DISK_BYTES: Final = 64 * 2**30
AGENT_PORT: Final = "org.qemu.guest_agent.0"

CARDS: Final[Mapping[str, str]] = {"management": "n0", "storage": "n1"}
"""What each network card is called here, and in QEMU."""

_CPU: Final = "+cx16,+lahf-lm,+popcnt,+sse3,+ssse3,+sse4.1,+sse4.2,+aes,+pclmulqdq,+fsgsbase,+rdrand"
# norandmaps: QEMU finds code that it has translated by its virtual address. With a program elsewhere each time it is
# run, all of it and of the C library was translated anew: 25 ms for /bin/true, where it takes 6.
# tsc=reliable: QEMU's processor does not promise that its counter is steady, and so Linux would read the time from the
# HPET: a system call and a locked device, each time that a Go program looks at the clock. It is steady, as it is the
# host's, and at another rate on another machine, hence `_clock`.
KERNEL_ARGUMENTS: Final = (
    "console=ttyS0 root=/dev/vda rw loglevel=6 net.ifnames=0"
    " mitigations=off random.trust_cpu=on tsc=reliable norandmaps"
)


@dataclass(frozen=True, slots=True)
class Memory:
    """The guest's memory: how much, and where it is.

    Attributes:
        mib: Its size.
        path: A file that it is mapped from, made if it is not there; None for memory that nothing else sees.
        keep: Whether what the guest writes goes to the file, or stays private.
    """

    mib: int = MEMORY_MIB
    path: Path | None = None
    keep: bool = False

    def arguments(self) -> list[str]:
        if self.path is None:
            return ["-object", f"memory-backend-ram,id=ram,size={self.mib}M"]
        shared = "on" if self.keep else "off"
        return ["-object", f"memory-backend-file,id=ram,size={self.mib}M,mem-path={_escaped(self.path)},share={shared}"]


@dataclass(frozen=True, slots=True)
class Disks:
    """The files behind the two disks, and how they are written down."""

    root: Path
    data: Path
    format: str = "qcow2"

    def arguments(self) -> list[str]:
        # cache=unsafe spares the host's fsync only: what a guest has flushed
        # is in the host's page cache and outlives a killed QEMU.
        return [
            argument
            for path in (self.root, self.data)
            for argument in (
                "-drive",
                f"file={_escaped(path)},if=virtio,format={self.format},cache=unsafe,discard=unmap,detect-zeroes=unmap",
            )
        ]


@dataclass(frozen=True, slots=True)
class Files:
    """Where one VM's sockets and logs are."""

    directory: Path
    logs: Path
    name: str

    @property
    def agent(self) -> Path:
        return self.directory / f"{self.name}.agent"

    @property
    def monitor(self) -> Path:
        return self.directory / f"{self.name}.monitor"

    @property
    def shell(self) -> Path:
        return self.directory / f"{self.name}.shell"

    @property
    def console(self) -> Path:
        return self.logs / f"{self.name}.console.log"

    @property
    def log(self) -> Path:
        return self.logs / f"{self.name}.qemu.log"

    def arguments(self) -> list[str]:
        def socket(chardev: str, path: Path) -> list[str]:
            return ["-chardev", f"socket,id={chardev},path={_escaped(path)},server=on,wait=off"]

        return [
            *socket("agent", self.agent),
            *socket("shell", self.shell),
            *socket("monitor", self.monitor),
            *("-mon", "chardev=monitor,mode=control"),
            *("-chardev", f"file,id=console,path={_escaped(self.console)},append=on"),
        ]


def command(files: Files, disks: Disks, switch: Path, memory: Memory, *more: str) -> list[str]:
    """QEMU's whole command line for one VM."""
    return [
        QEMU,
        *("-name", f"csi-solidfire-lab-{files.name}"),
        *_board(memory.mib),
        *_accelerator(memory.mib),
        *memory.arguments(),
        *("-netdev", f"user,id={CARDS['management']}"),
        *("-netdev", f"vde,id={CARDS['storage']},sock={_escaped(switch)}"),
        *disks.arguments(),
        *files.arguments(),
        *more,
    ]


def _board(memory_mib: int) -> tuple[str, ...]:
    return (
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", "pc,usb=off,memory-backend=ram"),
        # x86-64-v2 and what TLS uses. `max` has AVX as well, for which libraries
        # choose code that is twice as slow to emulate (sha256sum: 0.97 s, not 0.38).
        *("-cpu", f"qemu64,{_CPU}", "-smp", "2", "-m", str(memory_mib)),
        *("-rtc", "base=utc,clock=host"),
        *("-object", "rng-random,id=rng0,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng0"),
        *("-device", "virtio-net-pci,netdev=n0,romfile=,mac=52:54:00:5f:00:01"),
        *("-device", "virtio-net-pci,netdev=n1,romfile=,mac=52:54:00:5f:01:00"),
        *("-device", "virtio-serial-pci"),
        *("-device", f"virtserialport,chardev=agent,name={AGENT_PORT}"),
        *("-device", "virtconsole,chardev=shell"),
        *("-device", "isa-serial,chardev=console"),
    )


def _accelerator(memory_mib: int) -> tuple[str, str]:
    """Emulation, with room for translated code: where it gets full, all of it is thrown away and translated anew.

    With 256 MiB a Kubernetes node did that 53 times in 20 minutes, and took 36 s to start four pods at once, not 18.
    """
    return ("-accel", f"tcg,thread=multi,tb-size={memory_mib // 2}")


def fingerprint(memory_mib: int) -> tuple[str, ...]:
    """Part of the command line that a change of would make saved states useless."""
    return (*_board(memory_mib), KERNEL_ARGUMENTS, str(DATA_DISK_BYTES), *_clock())


def _clock() -> tuple[str, ...]:
    """What this machine says of the rate of its time stamp counter, which a saved guest goes on counting with."""
    lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    # In a VM the frequency is the counter's; elsewhere it is the processor's at the moment, and its name has to do.
    frequency = facts.get("cpu MHz", "").partition(".")[0] if "hypervisor" in facts.get("flags", "") else ""
    return (facts.get("model name", ""), frequency)


def boot(kernel: Path, initramfs: Path) -> list[str]:
    """Start from power-on."""
    return ["-kernel", str(kernel), "-initrd", str(initramfs), "-append", KERNEL_ARGUMENTS]


def restore() -> list[str]:
    """Wait for a saved state; `Monitor.load` gives it, and the VM runs as soon as it is loaded."""
    return ["-incoming", "defer"]


def qemu_version() -> str:
    """The first line of QEMU's own answer: a state is only loaded by the version that saved it."""
    answer = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=True, timeout=30)
    return answer.stdout.splitlines()[0]


def _escaped(path: Path) -> str:
    """Write a path into one of QEMU's option lists, where a comma is doubled."""
    return str(path).replace(",", ",,")
