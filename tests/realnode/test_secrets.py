"""CHAP secrets are in the kernel and nowhere else: not on a command line, in a log, or in a file while attached."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from csi_solidfire.handles import Chap
from lab.site import Node
from tests.realnode.volumes import Volume
from tests.support.ask import refused
from tests.support.driver import wait_until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900), pytest.mark.xdist_group("realnode")]

_WATCHER = Path(__file__).parent / "guest" / "watch_processes.py"
_SEEN = "/run/watched"
_PLACES = ("/etc", "/run", "/tmp", "/var", "/root", "/home", "/opt/csi-solidfire/app")


@contextmanager
def watched(node: Node) -> Iterator[None]:
    """Collect the command lines of all processes meanwhile."""
    node.machine.write_file("/opt/watch_processes.py", _WATCHER.read_bytes())
    command = ["systemd-run", "--quiet", "--collect", "--unit=watcher", "python3", "/opt/watch_processes.py", _SEEN]
    node.machine.run(command)
    wait_until(lambda: node.machine.run(["test", "-s", _SEEN], check=False).exit_code == 0, 60)
    try:
        yield
    finally:
        node.machine.run(["systemctl", "stop", "watcher"])


def files_with(node: Node, secrets: list[str]) -> list[str]:
    """Return the files that hold one of the secrets; read from standard input, for this search is watched too."""
    search = ["grep", "-rlsF", "-f", "-", "-D", "skip", *_PLACES]
    found = node.machine.run(search, input="\n".join(secrets), check=False, timeout=180)
    assert found.exit_code in (0, 1, 2)
    return found.stdout.split()


def test_secrets_are_in_no_command_line_log_or_file(volume: Volume, node: Node) -> None:
    """During a whole life, seen at every turn. A copy put there on purpose is found, so the search does work."""
    wrong = "wrong-secret-77"
    secrets = [*volume.secrets, wrong]
    with watched(node):
        with refused(grpc.StatusCode.UNAUTHENTICATED):
            volume.stage(node, context=volume.context | {Chap.PASSWORD: wrong})
        assert files_with(node, secrets) == []
        volume.stage(node)
        assert files_with(node, secrets) == []
        record = node.machine.run(f"cat /etc/iscsi/nodes/{volume.iqn}/*/default").stdout
        assert "node.session.auth.authmethod = CHAP" in record
        modes = node.machine.run(["find", f"/etc/iscsi/nodes/{volume.iqn}", "-printf", "%y %m\n"]).stdout.split("\n")
        assert set(filter(None, modes)) == {"d 700", "f 600"}
        volume.hide(node, volume.show(node))
        volume.unstage(node)
    assert files_with(node, secrets) == []

    seen = node.machine.read_file(_SEEN).decode(errors="replace")
    assert "--login" in seen
    log = node.driver_log()
    assert volume.handle in log
    assert "NodeStageVolume" in log
    for secret in secrets:
        assert secret not in seen
        assert secret not in log
    node.machine.write_file("/run/copy-on-purpose", secrets[0].encode())
    assert files_with(node, secrets) == ["/run/copy-on-purpose"]
    node.machine.run(["rm", "/run/copy-on-purpose"])
