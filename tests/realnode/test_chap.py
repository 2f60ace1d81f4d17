"""Which way CHAP goes and with which algorithm, heard on the wire between a node and the array."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from csi_solidfire.handles import Chap
from lab.site import Node
from tests.realnode.array_side import restart_target
from tests.realnode.conftest import Make
from tests.realnode.volumes import session_state
from tests.support.driver import wait_until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900), pytest.mark.xdist_group("realnode")]

_LISTENER = Path(__file__).parent / "guest" / "hear_logins.py"
_HEARD = "/run/heard"
_ONE_WAY = ["initiator CHAP_A 8,7,6,5", "target CHAP_A 8", "target CHAP_I", "target CHAP_C"]
_ONE_WAY += ["initiator CHAP_N", "initiator CHAP_R"]
_MUTUAL = [*_ONE_WAY, "initiator CHAP_I", "initiator CHAP_C", "target CHAP_N", "target CHAP_R"]


@contextmanager
def listening(node: Node) -> Iterator[list[str]]:
    """Collect what is said in logins meanwhile; it is in the list afterwards."""
    node.machine.write_file("/opt/hear_logins.py", _LISTENER.read_bytes())
    node.machine.run(["rm", "-f", _HEARD])
    command = ["systemd-run", "--quiet", "--collect", "--unit=listener", "python3", "/opt/hear_logins.py", _HEARD]
    node.machine.run(command)
    wait_until(lambda: node.machine.run(["test", "-s", _HEARD], check=False).exit_code == 0, 60)
    heard: list[str] = []
    try:
        yield heard
    finally:
        node.machine.run(["systemctl", "stop", "listener"])
        heard += node.machine.read_file(_HEARD).decode().splitlines()[1:]


@pytest.mark.parametrize(("chap", "said"), [("one-way", _ONE_WAY), ("mutual", _MUTUAL)])
def test_chap_goes_the_way_the_class_says(make: Make, node: Node, chap: str, said: list[str]) -> None:
    """The strongest algorithm is offered first and MD5 last; the account has secrets for both ways in any case.

    Numbers of algorithms are IANA's: 5 MD5, 6 SHA1, 7 SHA256, 8 SHA3-256.
    """
    volume = make(chap=chap)
    assert (Chap.PASSWORD_IN in volume.context) == (chap == "mutual")

    with listening(node) as heard:
        staging = volume.stage(node)
        node.machine.run(f"echo kept > {staging}/file; sync -f {staging}")
        first = len(node.machine.read_file(_HEARD).splitlines()) - 1
        restart_target(volume)
        wait_until(lambda: session_state(node, volume) != "LOGGED_IN", 60)
        wait_until(lambda: session_state(node, volume) == "LOGGED_IN", 120)

    assert sorted(heard[:first]) == sorted(said)
    assert set(heard[first:]) == set(said)
    assert node.machine.run(["cat", f"{staging}/file"]).stdout == "kept\n"
    volume.unstage(node)
    assert volume.left_on(node) == []
