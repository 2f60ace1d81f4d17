"""A node that is cut off from Kubernetes, and not from the array, loses its volumes while it writes to them.

Nobody calls its node service, its link to the array is up, its pods go on: all that stands between it and the volumes
is the fence. The story is played once, with a filesystem and a raw device side by side; each test tells a part of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from lab import csi
from lab.site import Node, Site
from tests.fencing.handover import Held, initiator, initiators
from tests.realnode.volumes import Volume, until_done
from tests.support.ask import refused

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900), pytest.mark.xdist_group("fencing")]

Story = dict[str, Held]
each = pytest.mark.parametrize("kind", ["files", "device"])


@pytest.fixture(scope="module")
def story(site: Site, node: Node, other_node: Node) -> Iterator[Story]:
    """Node-2 uses both volumes, and node-1 has been trying to write to them for more than its kernel's patience."""
    Volume(site, csi.block()).publish(node)  # Keeps the node's account alive, as its other volumes do in earnest.
    held = {
        "files": Held.by(node, Volume(site, csi.mount("ext4"))),
        "device": Held.by(node, Volume(site, csi.block())),
    }
    node.machine.cut("management")
    try:
        _play(list(held.values()), node, other_node)
        yield held
    finally:
        node.machine.restore_link("management")
        for each in held.values():
            each.writer.stop()
            each.volume.clean(node)
            each.volume.clean(other_node)


def _play(both: list[Held], node: Node, other_node: Node) -> None:
    for held in both:
        held.volume.unpublish(node)
        held.look()
    for held in both:
        held.volume.publish(other_node)
        held.look()
    for held in both:
        held.wait_for_attempts()
        held.look()
    for held in both:
        held.begin_on(other_node)
    for held in both:
        held.wait_for_attempts()
        held.refusals.append(held.refused_logins())
        held.theirs.append(held.theirs_on(other_node))


@each
def test_not_one_write_reaches_the_volume_once_it_is_taken(story: Story, kind: str) -> None:
    """Not when it is given to the other node, nor while the first one goes on trying."""
    taken, *later = story[kind].contents

    assert later == [taken, taken]
    assert not story[kind].writer.notes().resumed


@each
def test_every_write_acknowledged_before_is_there(story: Story, kind: str) -> None:
    """And whole. One more may be there: written, and its acknowledgement cut off."""
    acknowledged = story[kind].writer.notes().acknowledged

    assert story[kind].found in (acknowledged, acknowledged + 1)


@each
def test_the_node_has_no_session_and_every_login_of_it_is_refused(
    story: Story, kind: str, site: Site, other_node: Node
) -> None:
    held = story[kind]
    at_once, _, before, since = held.refusals

    assert at_once < before < since
    assert held.session() in ("FAILED", "FREE")
    assert initiators(site, held.volume) == [initiator(other_node)]


def test_the_filesystem_stops(story: Story, node: Node) -> None:
    """Its pod gets errors, in the end that it is read-only, and so does everybody else there."""
    files = story["files"]
    failures = files.writer.notes().failures

    assert failures == ["EIO"] * failures.count("EIO") + ["EROFS"] * failures.count("EROFS")
    assert failures[-1] == "EROFS"
    late = node.machine.run(["touch", f"{files.target}/late"], check=False)
    assert late.exit_code != 0
    assert "Read-only file system" in late.stderr


def test_the_device_answers_errors(story: Story) -> None:
    assert set(story["device"].writer.notes().failures) == {"EIO"}


@each
def test_what_the_other_node_wrote_stays(story: Story, kind: str, other_node: Node) -> None:
    held = story[kind]

    assert held.theirs[1:] == held.theirs[:1]
    assert held.found_on(other_node) == (held.found, held.theirs[0])


def test_the_node_comes_back_cleans_up_and_can_have_its_volumes_again(
    story: Story, node: Node, other_node: Node
) -> None:
    """The filesystem returns early, while the old pod still writes to it, in vain, and then all is well."""
    files, device = story["files"], story["device"]
    node.machine.restore_link("management")
    for held in story.values():
        held.end_on(other_node)
    assert _is_sound(files.volume)
    files.look()
    files.volume.publish(node)
    files.wait_for_attempts()
    with refused(grpc.StatusCode.UNAVAILABLE, "session is down"):
        files.volume.stage(node)
    files.look()

    for held in story.values():
        held.writer.stop()
        until_done(lambda: held.volume.hide(node, held.target))  # noqa: B023
        until_done(lambda: held.volume.unstage(node))  # noqa: B023
        assert held.volume.left_on(node) == []
    device.volume.publish(node)

    assert files.contents[-1] == files.contents[-2]
    for held in story.values():
        held.volume.stage(node)
        assert held.found_on(node) == (held.found, held.theirs[0])
        held.end_on(node)
        assert held.volume.left_on(node) == []
    assert _is_sound(files.volume)


def _is_sound(volume: Volume) -> bool:
    """Whether fsck finds nothing to mend in what the array has."""
    return volume.site.array.run(["e2fsck", "-fn", volume.file], check=False, timeout=300).exit_code == 0
