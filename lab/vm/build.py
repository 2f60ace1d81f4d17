"""How the image is made: a Debian root, its first boot, and its saved state."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lab.vm import hardware, packages
from lab.vm.agent import Agent
from lab.vm.children import Children, tail, take_lock
from lab.vm.errors import LabError
from lab.vm.identity import guest_script, wake
from lab.vm.kind import Kind
from lab.vm.machine import await_agent
from lab.vm.monitor import Monitor
from lab.vm.progress import Say

if TYPE_CHECKING:
    from lab.vm.image import Image

_DEBIAN: Final = "http://deb.debian.org/debian"
_DEBIAN_SECURITY: Final = "http://deb.debian.org/debian-security"
_KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
_ROOT_TIMEOUT: Final = 1800.0  # seconds; a slow mirror is the usual reason
_PIP_TIMEOUT: Final = 900.0
_BOOT_TIMEOUT: Final = 300.0
_SAVE_TIMEOUT: Final = 120.0
_COPY_TIMEOUT: Final = 300.0
WHEELS: Final = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")

MayUseSudo = Callable[[str], bool]


def build(image: Image, requirements: Sequence[str], kind: Kind, say: Say, may_use_sudo: MayUseSudo) -> None:
    """Make all of an image's files in its directory, which is there and empty."""
    _check_programs()
    with say.step("fetching the guest's Python packages"):
        site_packages = image.directory / "site-packages"
        _install_python(requirements, site_packages)
    with say.step(f"making a Debian {packages.SUITE} root with {len(kind.all_packages)} packages and what they need"):
        _make_root(image.directory, site_packages, kind, may_use_sudo)
    shutil.rmtree(site_packages)
    with say.step("booting it once and saving its state"):
        _boot_and_save(image, kind)


def clear(building: Path, may_use_sudo: MayUseSudo) -> None:
    """Remove what an interrupted build left, some of which may be root's."""
    shutil.rmtree(building, ignore_errors=True)
    if building.exists():
        as_root(["rm", "-rf", "--one-file-system", str(building)], building.with_suffix(".log"), may_use_sudo)


def ask(command: str) -> bool:
    """Ask the person at the terminal; without one, sudo itself knows whether it may."""
    if not sys.stdin.isatty():
        return True
    print(f"Making the VMs' root needs this one command as root:\n\n  {command}\n")
    return input("Run it with sudo? [y/N] ").strip().lower() in ("y", "yes")


def _check_programs() -> None:
    needed = (hardware.QEMU, "qemu-img", "vde_switch", "mmdebstrap", "mke2fs", "setpriv", "unshare")
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    if missing := [program for program in needed if shutil.which(program, path=path) is None]:
        raise LabError(
            f"missing here: {', '.join(missing)}. On Debian or Ubuntu: apt-get install {' '.join(packages.HOST)}"
        )


def _install_python(requirements: Sequence[str], target: Path) -> None:
    target.mkdir()
    if not requirements:
        return
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--target", str(target)),
        *("--python-version", packages.PYTHON, "--implementation", "cp", "--only-binary", ":all:"),
        *(f"--platform={wheels}" for wheels in WHEELS),
        *requirements,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_TIMEOUT, check=False)
    if done.returncode:
        raise LabError(f"pip could not fetch the guest's Python packages: {done.stderr.strip()[-1500:]}")


def _make_root(output: Path, site_packages: Path, kind: Kind, may_use_sudo: MayUseSudo) -> None:
    for name in ("root.sh", "initramfs.sh"):
        (output / name).write_bytes(guest_script(name))
    (output / "kind.sh").write_bytes(kind.root)
    temporary = output / "temporary"
    temporary.mkdir()
    finish = shlex.join(["sh", str(output / "root.sh")])
    rest = shlex.join([str(site_packages), str(output), f"{os.getuid()}:{os.getgid()}"])
    before = shlex.join(["sh", str(output / "initramfs.sh")])
    command = [
        # A mount namespace of its own: killed half way, it leaves no /proc or
        # /dev mounted below a directory that is about to be removed.
        *("setpriv", "--pdeathsig", "KILL", "--", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--"),
        *("env", f"TMPDIR={temporary}"),
        *("mmdebstrap", "--mode=root", "--variant=minbase", "--format=null", "--architectures=amd64"),
        f"--include={','.join(kind.all_packages)}",
        *(f"--dpkgopt=path-exclude=/usr/share/{what}/*" for what in ("doc", "man", "locale", "info")),
        "--dpkgopt=force-unsafe-io",
        *(f"--aptopt={option}" for option in apt_network_options()),
        f'--essential-hook={before} "$1"',
        *(f"--customize-hook=upload {shlex.join([str(file), path])}" for path, file in kind.files.items()),
        f'--customize-hook={shlex.join(["sh", str(output / "kind.sh")])} "$1"',
        f'--customize-hook={finish} "$1" {rest}',
        *(packages.SUITE, "/dev/null", *sources()),
    ]
    as_root(command, output / "root.log", may_use_sudo)
    shutil.rmtree(temporary)


def as_root(command: list[str], log: Path, may_use_sudo: MayUseSudo) -> None:
    if os.getuid() != 0:
        never_ask = [] if sys.stdin.isatty() else ["-n"]
        command = ["sudo", *never_ask, "--preserve-env=http_proxy,https_proxy,no_proxy", *command]
        if not may_use_sudo(shlex.join(command)):
            raise LabError("building an image takes a command as root, which was refused")
    with log.open("wb") as output:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=_ROOT_TIMEOUT,
            check=False,
        )
    if done.returncode:
        raise LabError(f"what was done as root failed ({log}): {tail(log)}")


def sources() -> list[str]:
    """Lines for apt: from the mirrors that this machine uses, if it is a Debian, else from Debian's own."""
    mirrors = _mirrors()
    signed = f"[signed-by={_KEYRING}] " if Path(_KEYRING).exists() else ""
    debian = mirrors.get("Debian", _DEBIAN)
    security = mirrors.get("Debian-Security", _DEBIAN_SECURITY)
    return [
        f"deb {signed}{debian} {packages.SUITE} main",
        f"deb {signed}{debian} {packages.SUITE}-updates main",
        f"deb {signed}{security} {packages.SUITE}-security main",
    ]


def _mirrors() -> dict[str, str]:
    """The repositories of this machine's apt by their label."""
    listed = _output("apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages")
    lines = [line.split(" ", 1) for line in listed.splitlines() if " " in line]
    return {label: uri.rstrip("/") for label, uri in lines if uri.startswith(("http://", "https://"))}


def apt_network_options() -> list[str]:
    """Proxies and certificates that this machine's apt has been told to use."""
    listed = _output("apt-config", "dump", "--format", '%f "%v";%n', "Acquire")
    return [line for line in listed.splitlines() if re.match(r"Acquire::https?::.*(Proxy|CaInfo|Ssl|Verify)", line)]


def _output(*command: str) -> str:
    """What a command prints; nothing on a machine that has none."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout
    except FileNotFoundError:
        return ""


def _boot_and_save(image: Image, kind: Kind) -> None:
    for path, size in ((image.disks.data, hardware.DATA_DISK_BYTES), (image.memory, kind.memory_mib << 20)):
        with path.open("wb") as file:
            file.truncate(size)
    with _children(image.directory / "first-boot") as (children, directory):
        files = hardware.Files(directory, image.directory, "first-boot")
        children.spawn_switch()
        memory = hardware.Memory(kind.memory_mib, image.memory, keep=True)
        start = hardware.boot(image.kernel, image.initramfs)
        children.spawn(files.name, hardware.command(files, image.disks, children.switch, memory, *start), files.log)
        agent = Agent(files.agent)
        await_agent(agent, children, files, _BOOT_TIMEOUT)
        for script in (guest_script("prepare.sh"), kind.prepare):
            agent.run(["/bin/sh", "-s"], input=script, timeout=_BOOT_TIMEOUT)
        agent.close()
        _save(image, children, files)


def derive(image: Image, base: Image, change: Callable[[Agent], None]) -> None:
    """Make all of an image's files in its directory, which is there and empty, from those of another image.

    Args:
        image: The new one.
        base: The other.
        change: Called with the agent of a VM restored from the other; what it does there is in the new one.
    """
    for source in (base.kernel, base.initramfs, base.disks.root, base.disks.data, base.memory):
        copy = ["cp", "--reflink=auto", "--sparse=always", str(source), str(image.directory / source.name)]
        subprocess.run(copy, check=True, timeout=_COPY_TIMEOUT)
    with _children(image.directory / "change") as (children, directory):
        files = hardware.Files(directory, image.directory, "change")
        children.spawn_switch()
        memory = hardware.Memory(image.memory_mib, image.memory, keep=True)
        start = hardware.restore()
        children.spawn(files.name, hardware.command(files, image.disks, children.switch, memory, *start), files.log)
        children.await_socket(files.name, files.monitor, files.log)
        Monitor(files.monitor).load(base.state, timeout=_SAVE_TIMEOUT)
        agent = Agent(files.agent)
        await_agent(agent, children, files, _SAVE_TIMEOUT)
        wake(agent)
        change(agent)
        agent.close()
        _save(image, children, files)


def _save(image: Image, children: Children, files: hardware.Files) -> None:
    """Save the state of the VM that runs on an image's own files, and end it."""
    monitor = Monitor(files.monitor)
    monitor.execute("stop")
    monitor.save(image.state, timeout=_SAVE_TIMEOUT)
    monitor.execute("quit")
    children.await_end(files.name)


@contextmanager
def _children(directory: Path) -> Iterator[tuple[Children, Path]]:
    directory.mkdir(mode=0o700)
    children = Children.supervise(directory, take_lock(directory))
    try:
        yield children, directory
    finally:
        children.end()
