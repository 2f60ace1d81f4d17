"""A driver that dies at any change it makes of the real host; the next one ends where the first would have.

The same that tests/node/test_cut_short.py tries on the fake host, as far as the real one has a say in it. To save
time, not every change of every recipe is tried here: all of them for the raw device, every third for ext4.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab import csi
from lab.site import Node
from tests.realnode.conftest import Make

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900), pytest.mark.xdist_group("realnode")]

_TESTS = Path(__file__).parent.parent
_GUEST = "/opt/realnode"
_PATH = f"{_GUEST}:/opt/csi-solidfire/app:/opt/csi-solidfire/site-packages"
_NOTHING = {"mounts": 0, "sessions": 0, "records": 0, "secrets": 0, "files": []}
_CASES = [
    # what, call, volume used before, first change to die at, step
    pytest.param("block", "stage", False, 1, 1, id="stage a device"),
    pytest.param("block", "stage and forget", False, 1, 1, id="stage a device that nobody wants any more"),
    pytest.param("block", "unstage", False, 1, 1, id="unstage a device"),
    pytest.param("ext4", "stage", False, 1, 3, id="stage a blank volume"),
    pytest.param("ext4", "stage", True, 2, 3, id="stage a volume with data"),
    pytest.param("ext4", "unstage", True, 1, 3, id="unstage a volume with data"),
]


@pytest.mark.parametrize(("access", "act", "used", "first", "step"), _CASES)
def test_a_driver_that_died_anywhere(
    make: Make, node: Node, access: str, act: str, used: bool, first: int, step: int
) -> None:
    """Mounted once, one session, no secret left in the record, the earlier files there; then nothing left.

    At no moment is a secret in a file that others than root may read. A call cut short and never repeated leaves
    nothing either, once the volume is unstaged.
    """
    volume = make(csi.block() if access == "block" else csi.mount(access))
    node.machine.send_tree(
        {
            f"{_GUEST}/tests/node/dying_host.py": _TESTS / "node" / "dying_host.py",
            f"{_GUEST}/cut_short.py": Path(__file__).parent / "guest" / "cut_short.py",
        }
    )
    order = {
        "handle": volume.handle,
        "context": volume.context,
        "staging": node.staging_path(volume.handle),
        "access": access,
        "act": act.split()[0],
        "abandoned": act == "stage and forget",
        "used": used,
        "first": first,
        "step": step,
    }
    command = ["python3", f"{_GUEST}/cut_short.py"]

    ran = node.machine.run(command, input=json.dumps(order), env={"PYTHONPATH": _PATH}, timeout=850)

    trials: list[dict[str, Any]] = json.loads(ran.stdout)
    assert len(trials) > 2
    assert trials[-1]["lived"]
    staged = {"mounts": 1, "sessions": 1, "records": 1, "secrets": 0, "files": []}
    wanted = {"stage": staged, "unstage": _NOTHING, "stage and forget": {}}[act]
    for trial in trials:
        assert {key: trial[key] for key in wanted} == wanted, trial
        assert trial["exposed"] == [], trial
        assert trial["kept"], trial
        assert trial["left"] == _NOTHING, trial
    assert volume.left_on(node) == []
