"""What volumes may be used for, and how that is written down."""

from __future__ import annotations

import itertools

import pytest

from csi_solidfire import errors
from csi_solidfire.storage import access
from csi_solidfire.storage.access import Attachment, Capability, Mode

ALL = [Attachment(*each) for each in itertools.product(Mode, (True, False), (True, False))]


def test_an_attachment_reads_what_it_wrote() -> None:
    for attachment in ALL:
        assert Attachment.parse(str(attachment)) == attachment
    assert len({str(attachment) for attachment in ALL}) == len(ALL)


def test_what_is_written_on_arrays_stays_readable() -> None:
    """These words are in the attributes of volumes that are published while the driver is upgraded."""
    assert Attachment.parse("snmw,mount,rw") == Attachment(Mode.SINGLE_NODE_MULTI_WRITER, block=False, readonly=False)
    assert Attachment.parse("mnmw,block,ro") == Attachment(Mode.MULTI_NODE_MULTI_WRITER, block=True, readonly=True)
    assert {mode.value for mode in Mode} == {"snw", "snr", "mnr", "mnsw", "mnmw", "snsw", "snmw"}


@pytest.mark.parametrize(
    "text", ["", "snw", "snw,mount", "snw,mount,rx", "snw,disk,rw", "xxx,mount,rw", "snw,mount,rw,"]
)
def test_what_is_no_attachment(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - there is no message to match.
        Attachment.parse(text)


def test_modes() -> None:
    assert {mode for mode in Mode if mode.is_single_node} == {
        Mode.SINGLE_NODE_WRITER,
        Mode.SINGLE_NODE_READER_ONLY,
        Mode.SINGLE_NODE_SINGLE_WRITER,
        Mode.SINGLE_NODE_MULTI_WRITER,
    }
    assert {mode for mode in Mode if mode.is_reader} == {Mode.SINGLE_NODE_READER_ONLY, Mode.MULTI_NODE_READER_ONLY}


def test_what_is_served() -> None:
    served = {
        (mode, block) for mode, block in itertools.product(Mode, (True, False)) if not Capability(mode, block).problem()
    }
    refused = set(itertools.product(Mode, (True, False))) - served
    assert refused == {
        (Mode.MULTI_NODE_SINGLE_WRITER, True),
        (Mode.MULTI_NODE_SINGLE_WRITER, False),
        (Mode.MULTI_NODE_MULTI_WRITER, False),
    }


def test_filesystems() -> None:
    for fs_type in ("", "ext4", "xfs", "btrfs"):
        access.check([Capability(Mode.SINGLE_NODE_WRITER, block=False, fs_type=fs_type)])
    with pytest.raises(errors.InvalidRequest, match="'EXT4' is not supported: use ext4, xfs, btrfs"):
        access.check([Capability(Mode.SINGLE_NODE_WRITER, block=False, fs_type="EXT4")])


def test_capabilities_together() -> None:
    one, other, any_ = (Capability(Mode.SINGLE_NODE_WRITER, False, fs_type) for fs_type in ("ext4", "xfs", ""))
    access.check([one, any_, Capability(Mode.SINGLE_NODE_WRITER, block=True)])
    with pytest.raises(errors.InvalidRequest, match="the same in all"):
        access.check([one, other])
    with pytest.raises(errors.InvalidRequest, match="missing"):
        access.check([])
