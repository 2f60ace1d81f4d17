"""A restored VM is a whole machine: itself, on the network, with iSCSI, and as breakable as a real one."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.vm import CommandFailed, Machine, Unanswered
from tests.support.driver import wait_until

MIB = 1 << 20


def reaches(machine: Machine, address: str) -> bool:
    return machine.run(["ping", "-c", "1", "-W", "1", address], check=False).exit_code == 0


def seconds_off(machine: Machine) -> float:
    return abs(int(machine.run(["date", "+%s"]).stdout) - time.time())


def test_each_vm_is_itself(array: Machine, node: Machine) -> None:
    """Nothing by which a VM is told from another is the saved state's."""
    for machine in (array, node):
        assert machine.run("hostname; cat /etc/hostname").stdout.split() == [machine.name] * 2

    for what in (
        "cat /sys/class/net/eth1/address",
        "cat /etc/machine-id",
        "cat /etc/iscsi/initiatorname.iscsi",
    ):
        assert array.run(what).stdout != node.run(what).stdout, what


def test_the_clock_is_right(node: Machine) -> None:
    assert seconds_off(node) < 30


IQN = "iqn.2010-01.com.solidfire:test.volume.1"
SERVE = f"""
import rtslib_fb as lio
tpg = lio.TPG(lio.Target(lio.FabricModule("iscsi"), "{IQN}"), 1)
lio.NetworkPortal(tpg, "192.0.2.10", 3260)
tpg.set_attribute("generate_node_acls", 1)
tpg.enable = True
"""


@pytest.fixture
def target(array: Machine) -> Iterator[str]:
    """The portal of a target without disks on the array, made with the kernel's LIO."""
    array.run(["python3", "-c", SERVE])
    yield "192.0.2.10:3260"
    array.run(["python3", "-c", f"import rtslib_fb as lio; lio.Target(lio.FabricModule('iscsi'), '{IQN}').delete()"])


def test_the_initiator_finds_the_array(node: Machine, target: str) -> None:
    """Debian's own units start iscsid at its first use, as this node, and it may be restarted."""
    find = ["iscsiadm", "-m", "discovery", "-t", "sendtargets", "-p", target]
    assert IQN in node.run(find).stdout
    assert node.run("systemctl is-active iscsid").stdout.strip() == "active"
    assert node.run("cat /etc/iscsi/initiatorname.iscsi").stdout == f"InitiatorName={node.identity.initiator_name}\n"

    node.run("systemctl restart iscsid")

    assert IQN in node.run(find).stdout


def test_the_array_has_what_it_serves_volumes_with(array: Machine) -> None:
    """LIO is loaded, rtslib can use it, and the disk for volumes copies by reference."""
    array.run(["python3", "-c", "import rtslib_fb; rtslib_fb.FabricModule('iscsi')"])
    array.run("cd /srv/array && truncate -s 1M one && cp --reflink=always one two && rm one two")


def test_a_cut_storage_link_can_be_mended(array: Machine, node: Machine) -> None:
    """Only the storage network is gone meanwhile."""
    wait_until(lambda: reaches(node, "192.0.2.10"))

    node.cut("storage")
    assert not reaches(node, "192.0.2.10")
    assert reaches(node, "10.0.2.2")

    node.restore_link("storage")
    wait_until(lambda: reaches(node, "192.0.2.10"))


@pytest.fixture
def served(node: Machine) -> Iterator[str]:
    """An address of this machine's that leads to a web server in the node."""
    node.run("systemd-run --quiet --collect --unit=web python3 -m http.server 8000 --directory /etc/iscsi")
    yield f"http://127.0.0.1:{node.forwards[8000]}/initiatorname.iscsi"
    node.run("systemctl stop web")


def fetches(address: str) -> bytes:
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:  # noqa: S310, an address made here
            return bytes(answer.read())
    except (urllib.error.URLError, OSError):
        return b""


def test_a_forwarded_port_leads_to_the_guest_until_its_link_is_cut(array: Machine, node: Machine, served: str) -> None:
    """And the storage network goes on without it."""
    wait_until(lambda: node.identity.initiator_name.encode() in fetches(served))

    node.cut("management")
    assert fetches(served) == b""
    wait_until(lambda: reaches(node, "192.0.2.10"))

    node.restore_link("management")
    wait_until(lambda: fetches(served))


def test_a_paused_vm_answers_nobody_and_wakes_in_the_present(array: Machine, node: Machine) -> None:
    node.run("date -s 2001-02-03")
    node.pause()
    assert not reaches(array, "192.0.2.101")

    node.resume()
    wait_until(lambda: reaches(array, "192.0.2.101"))
    assert seconds_off(node) < 30


def test_commands_have_input_output_and_an_exit_status(node: Machine) -> None:
    assert node.run(["cat"], input="given").stdout == "given"
    assert node.run("echo out; echo err >&2; exit 3", check=False).stderr == "err\n"
    assert node.run("kill -9 $$", check=False).exit_code == 128 + 9
    with pytest.raises(CommandFailed, match="no such luck") as failed:
        node.run("echo no such luck >&2; exit 7")
    assert failed.value.exit_code == 7


def test_a_command_that_does_not_end_is_ended(node: Machine) -> None:
    with pytest.raises(Unanswered):
        node.run(["sleep", "4711"], timeout=5)

    wait_until(lambda: node.run(["pgrep", "-f", "sleep 4711"], check=False).exit_code != 0)


def test_the_agent_carries_much_output(node: Machine) -> None:
    assert len(node.run(["head", "-c", str(5 * MIB), "/dev/zero"]).output) == 5 * MIB


def test_written_files_have_their_content_and_mode(node: Machine) -> None:
    content = bytes(range(256)) * 10_000

    node.write_file("/root/new/secret", content, mode=0o600)
    node.write_file("/root/new/secret", content[: 2 * MIB], mode=0o600)

    assert node.read_file("/root/new/secret") == content[: 2 * MIB]
    assert node.run("stat -c %a /root/new/secret").stdout.strip() == "600"


def test_sent_trees_replace_what_was_there(node: Machine, tmp_path: Path) -> None:
    program = tmp_path / "program"
    (tmp_path / "tree" / "below").mkdir(parents=True)
    (tmp_path / "tree" / "below" / "file").write_text("first")
    program.write_text("#!/bin/sh\necho it runs\n")
    program.chmod(0o755)
    node.send_tree({"/opt/test/tree": tmp_path / "tree"})
    (tmp_path / "tree" / "below" / "file").rename(tmp_path / "tree" / "moved")

    node.send_tree({"/opt/test/tree": tmp_path / "tree", "/opt/test/bin/program": program})

    assert node.run("cd /opt/test/tree && find . -type f").stdout == "./moved\n"
    assert node.run(["/opt/test/bin/program"]).stdout == "it runs\n"
