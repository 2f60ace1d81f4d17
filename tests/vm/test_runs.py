"""What a run leaves behind: nothing, however it ends; and what a killed VM keeps: what it had flushed."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.vm import AlreadyUp, Image, MachineDied, Run
from tests.support.driver import wait_until
from tests.vm import processes

ROOT = Path(__file__).parents[2]


@pytest.fixture
def program(image: Image) -> Iterator[subprocess.Popen[str]]:
    """A program that has a VM, and has said in which directory."""
    script = (
        "import sys; from pathlib import Path; from lab.vm import Image, Run\n"
        "run = Run(Image(Path(sys.argv[1])))\n"
        "run.start('node-1', address=['192.0.2.101'])\n"
        "print(run.directory, flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(image.directory)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def directory_of(program: subprocess.Popen[str]) -> str:
    assert program.stdout is not None
    directory = program.stdout.readline().strip()
    assert len(processes.of(directory)) >= 3  # supervisor, switch, QEMU
    return directory


def test_a_killed_program_leaves_nothing(program: subprocess.Popen[str]) -> None:
    directory = directory_of(program)

    program.kill()

    wait_until(lambda: not processes.of(directory))
    wait_until(lambda: not Path(directory).exists())


def test_an_interrupted_program_leaves_nothing(program: subprocess.Popen[str]) -> None:
    directory = directory_of(program)

    program.send_signal(signal.SIGINT)

    wait_until(lambda: not processes.of(directory))
    wait_until(lambda: not Path(directory).exists())


def test_a_killed_supervisor_takes_its_vms_along(program: subprocess.Popen[str], image: Image) -> None:
    """And the next run removes the directory."""
    directory = directory_of(program)
    listed = subprocess.run(["pgrep", "-f", f"supervisor.py {directory}"], capture_output=True, text=True, check=True)

    os.kill(int(listed.stdout), signal.SIGKILL)

    wait_until(lambda: not processes.of(directory))
    with Run(image):
        assert not Path(directory).exists()


def test_a_run_that_fails_to_start_a_vm_leaves_nothing(image: Image, tmp_path: Path) -> None:
    """The message has QEMU's own words."""
    for entry in image.directory.iterdir():
        (tmp_path / entry.name).symlink_to(entry)
    (tmp_path / "memory").unlink()
    (tmp_path / "memory").mkdir()
    with Run(Image(tmp_path)) as run, pytest.raises(MachineDied, match="qemu-system"):
        run.start("node-1")

    assert not processes.of(str(run.directory))
    assert not run.directory.exists()


def test_a_power_cut_keeps_what_was_flushed_and_nothing_of_the_rest(image: Image) -> None:
    """The VM boots from its own disks and is itself again; started anew it has forgotten everything."""
    with Run(image) as run:
        node = run.start("node-1", address=["192.0.2.101"], forwards=[8000])
        before = dict(node.forwards)
        node.run("echo kept > /srv/array/flushed && sync /srv/array/flushed && echo x > /run/in-memory")

        node.kill()
        assert not node.is_running
        node.power_on()

        assert node.run("cat /srv/array/flushed").stdout == "kept\n"
        assert node.run("ls /run/in-memory", check=False).exit_code != 0
        assert node.run("hostname; ip -br addr show eth1").stdout.split()[::3] == ["node-1", "192.0.2.101/24"]
        assert node.forwards == before

        node.kill()
        node = run.start("node-1", address=["192.0.2.101"])
        assert node.run("ls /srv/array").stdout == ""


@pytest.fixture
def left_up(image: Image) -> Iterator[str]:
    """The name of a run that another program left up."""
    name = f"test-{secrets.token_hex(4)}"
    script = (
        "import sys; from pathlib import Path; from lab.vm import Image, Run\n"
        "run = Run.detached(Image(Path(sys.argv[1])), sys.argv[2])\n"
        "run.start('node-1', address=['192.0.2.101'], forwards=[8000]); run.close()\n"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(image.directory), name],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        check=True,
        timeout=120,
    )
    yield name
    if run := Run.attach(name):
        run.down()


def test_a_detached_run_stays_until_it_is_taken_down(left_up: str, image: Image) -> None:
    run = Run.attach(left_up)
    assert run is not None
    assert run.machines["node-1"].run("hostname").stdout == "node-1\n"
    assert 8000 in run.machines["node-1"].forwards
    with pytest.raises(AlreadyUp):
        Run.detached(image, left_up)

    run.down()
    run.down()

    assert Run.attach(left_up) is None
    wait_until(lambda: not processes.of(str(run.directory)))
    assert not run.directory.exists()


def test_the_shell_is_one(left_up: str) -> None:
    """On the guest, on a terminal; it ends when it is left."""
    typed = "tty; echo $HOSTNAME-$((6 * 7)); exit\n"
    shell = subprocess.run(
        [sys.executable, "-m", "lab.vm", "shell", "--run", left_up, "node-1"],
        cwd=ROOT,
        input=typed,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert "/dev/hvc0" in shell.stdout
    assert "node-1-42" in shell.stdout
