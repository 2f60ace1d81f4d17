"""Stories told with the vendor's own SDK, unmodified. Runs in the SDK's virtual environment, not in ours.

    python sdk_stories.py STORY PORT < password

It trusts the certificate that REQUESTS_CA_BUNDLE names. A story that goes otherwise ends with a traceback.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from solidfire.common import ApiServerError  # type: ignore[import-not-found]
from solidfire.custom.models import CHAPSecret  # type: ignore[import-not-found]
from solidfire.factory import ElementFactory  # type: ignore[import-not-found]
from solidfire.models import (  # type: ignore[import-not-found]
    CloneMultipleVolumeParams,
    CreateInitiator,
    ModifyInitiator,
    QoS,
)

GIB = 1024**3


def refused(wanted: str, call: Callable[..., Any], **params: Any) -> None:
    """Make sure that the call fails with that error."""
    got = None
    try:
        call(**params)
    except ApiServerError as error:
        got = error.error_name
    assert got == wanted, f"{got} instead of {wanted}"


def make_volume(element: Any, name: str = "pvc-1", size: int = GIB, **more: Any) -> Any:
    """Make a volume of an account of its own."""
    account = element.add_account(username=f"owner-of-{name}").account.account_id
    return element.create_volume(name=name, account_id=account, total_size=size, enable512e=False, **more).volume


def finished(element: Any, handle: int) -> Any:
    """Wait for an async handle."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        result = element.get_async_result(async_handle=handle, keep_result=True)
        if result["status"] == "complete":
            return result
        time.sleep(0.02)
    raise AssertionError("the clone never ended")


def connecting(element: Any) -> None:
    """GetAPI on 7.0, then the newest version; cluster facts and limits."""
    assert str(element.api_version) == "12.5"
    api = element.get_api()
    assert api.current_version == "12.5"
    assert "7.0" in api.supported_versions
    info = element.get_cluster_info().cluster_info
    assert (info.unique_id, info.svip) == ("lab1", "127.0.0.1")
    assert element.get_cluster_version_info().cluster_version.startswith("12.5.")
    limits = element.get_limits()
    assert (limits.volume_size_min, limits.volume_name_length_max) == (1000000000, 64)
    assert element.get_cluster_state(force=False).state == "Active"
    assert element.get_cluster_capacity().cluster_capacity.max_provisioned_space > 0
    assert element.get_current_cluster_admin().cluster_admin.access == ["administrator"]
    assert element.list_iscsisessions().sessions == []
    assert element.list_cluster_pairs().cluster_pairs == []
    refused("xUnknownAPIMethod", element.send_request, method_name="NoSuchMethod", result_type=dict)


def accounts(element: Any) -> None:
    """From the making of an account to its removal, with secrets given and made up."""
    given = {
        "initiator_secret": CHAPSecret(secretInput="initiator1234"),
        "target_secret": CHAPSecret(secretInput="target123456"),
    }
    first = element.add_account(username="first", attributes={"team": ["a", 1, None]}, **given).account
    made_up = {"initiator_secret": CHAPSecret.auto_generate(), "target_secret": CHAPSecret.auto_generate()}
    second = element.add_account(username="second", **made_up).account
    assert first.initiator_secret.secret == "initiator1234"
    assert 12 <= len(second.initiator_secret.secret) <= 16
    assert second.initiator_secret.secret != second.target_secret.secret
    assert element.get_account_by_name(username="first").account.attributes == {"team": ["a", 1, None]}
    assert [each.username for each in element.list_accounts().accounts] == ["first", "second"]
    assert [each.username for each in element.list_accounts(start_account_id=2, limit=1).accounts] == ["second"]
    element.modify_account(account_id=first.account_id, status="locked", attributes={})
    locked = element.get_account_by_id(account_id=first.account_id).account
    assert (locked.status, locked.attributes) == ("locked", {})
    refused("xDuplicateUsername", element.add_account, username="second")
    refused("xUnknownAccount", element.get_account_by_name, username="third")
    element.remove_account(account_id=second.account_id)
    assert len(element.list_accounts().accounts) == 1
    assert element.get_account_efficiency(account_id=first.account_id).compression == 1.0


def volumes(element: Any) -> None:
    """From the making of a volume through growth and the recycle bin to its end."""
    volume = make_volume(element, "Data-1", size=1000000000, attributes={"k": "v"})
    assert volume.total_size == 1000341504
    assert volume.iqn == f"iqn.2010-01.com.solidfire:lab1.data-1.{volume.volume_id}"
    assert volume.scsi_naadevice_id == f"6f47acc1000000006c616231{volume.volume_id:08x}"
    grown = element.modify_volume(volume_id=volume.volume_id, total_size=2 * GIB, access="readOnly").volume
    assert (grown.total_size, str(grown.access), grown.attributes) == (2 * GIB, "readOnly", {"k": "v"})
    refused("xVolumeShrinkProhibited", element.modify_volume, volume_id=volume.volume_id, total_size=GIB)
    found = element.list_volumes(volume_name="Data-1").volumes
    assert [each.volume_id for each in found] == [volume.volume_id]
    assert element.get_volume_count().count == 1
    deleted = element.delete_volume(volume_id=volume.volume_id).volume
    assert (deleted.status, deleted.purge_time != "") == ("deleted", True)
    assert element.list_active_volumes().volumes == []
    assert [each.volume_id for each in element.list_deleted_volumes().volumes] == [volume.volume_id]
    element.restore_deleted_volume(volume_id=volume.volume_id)
    owned = element.list_volumes_for_account(account_id=volume.account_id).volumes
    assert [each.status for each in owned] == ["active"]
    element.delete_volumes(volume_ids=[volume.volume_id])
    element.purge_deleted_volume(volume_id=volume.volume_id)
    assert element.list_volumes().volumes == []
    refused("xVolumeIDDoesNotExist", element.delete_volume, volume_id=volume.volume_id)
    refused("xInvalidAPIParameter", make_volume, element=element, name="under_score")


def snapshots(element: Any) -> None:
    """Snapshots of one volume: made, listed, changed, rolled back to, deleted."""
    volume = make_volume(element)
    first = element.create_snapshot(volume_id=volume.volume_id, name="first", retention="24:00:00").snapshot
    assert (first.status, first.total_size, first.group_id) == ("done", GIB, 0)
    assert first.expiration_time
    element.modify_volume(volume_id=volume.volume_id, total_size=2 * GIB)
    rolled = element.rollback_to_snapshot(
        volume_id=volume.volume_id, snapshot_id=first.snapshot_id, save_current_state=True
    )
    assert rolled.snapshot.name == "first-copy"
    assert element.list_volumes(volume_ids=[volume.volume_id]).volumes[0].total_size == GIB
    nothing = element.rollback_to_snapshot(
        volume_id=volume.volume_id, snapshot_id=first.snapshot_id, save_current_state=False
    )
    assert nothing.snapshot is None
    element.modify_snapshot(snapshot_id=first.snapshot_id, expiration_time="2999-01-01T00:00:00Z")
    assert len(element.list_snapshots(volume_id=volume.volume_id).snapshots) == 2
    element.delete_snapshot(snapshot_id=first.snapshot_id)
    assert [each.name for each in element.list_snapshots().snapshots] == ["first-copy"]
    refused("xSnapshotIDDoesNotExist", element.delete_snapshot, snapshot_id=first.snapshot_id)


def group_snapshots(element: Any) -> None:
    """Two volumes at one moment."""
    ids = [make_volume(element, name).volume_id for name in ("one", "two")]
    made = element.create_group_snapshot(volumes=ids, name="both", attributes={"a": 1})
    assert [member.volume_id for member in made.members] == ids
    group = element.list_group_snapshots(volumes=[ids[1]]).group_snapshots[0]
    assert (group.name, group.status, len(group.members)) == ("both", "done", 2)
    assert {member.group_id for member in group.members} == {group.group_snapshot_id}
    group_id = group.group_snapshot_id
    element.modify_group_snapshot(group_snapshot_id=group_id, expiration_time="2999-01-01T00:00:00Z")
    saved = element.rollback_to_group_snapshot(group_snapshot_id=group_id, save_current_state=True, name="before")
    assert saved.group_snapshot.name == "before"
    element.delete_group_snapshot(group_snapshot_id=group_id, save_members=True)
    assert sorted(each.group_id for each in element.list_snapshots().snapshots)[:2] == [0, 0]
    element.delete_group_snapshot(group_snapshot_id=saved.group_snapshot_id, save_members=False)
    assert len(element.list_snapshots().snapshots) == 2


def clones(element: Any) -> None:
    """Clones of a volume, of a snapshot and of several volumes, and their handles."""
    source = make_volume(element, attributes={"from": "source"}, qos=QoS(min_iops=100, max_iops=200, burst_iops=300))
    snapshot = element.create_snapshot(volume_id=source.volume_id).snapshot
    begun = element.clone_volume(
        volume_id=source.volume_id, name="copy", snapshot_id=snapshot.snapshot_id, new_size=2 * GIB
    )
    assert begun.volume.status == "init"
    assert begun.volume_id not in [each.volume_id for each in element.list_volumes().volumes]
    assert element.list_sync_jobs().sync_jobs[0].dst_volume_id == begun.volume_id
    ended = finished(element, begun.async_handle)
    assert ended["result"]["cloneID"] == begun.clone_id
    copy = element.list_volumes(volume_ids=[begun.volume_id]).volumes[0]
    assert (copy.status, copy.total_size, copy.attributes) == ("active", 2 * GIB, {"from": "source"})
    assert copy.qos.burst_iops == 300
    members = [CloneMultipleVolumeParams(volume_id=source.volume_id, name="third")]
    group = element.clone_multiple_volumes(volumes=members)
    finished(element, group.async_handle)
    assert [each.completed for each in element.list_async_results().async_handles] == [True, True]
    element.get_async_result(async_handle=group.async_handle, keep_result=False)
    refused("xAsyncHandleDoesNotExist", element.get_async_result, async_handle=group.async_handle)
    overwritten = element.copy_volume(volume_id=source.volume_id, dst_volume_id=group.members[0].volume_id)
    finished(element, overwritten.async_handle)
    cancelled = element.clone_volume(volume_id=source.volume_id, name="fourth")
    element.cancel_clone(clone_id=cancelled.clone_id)
    refused("xVolumeIDDoesNotExist", element.delete_volume, volume_id=cancelled.volume_id)


def qos(element: Any) -> None:
    """Policies that volumes follow, and the default."""
    policy = element.create_qos_policy(name="gold", qos=QoS(min_iops=1000, max_iops=2000, burst_iops=4000)).qos_policy
    volume = make_volume(element, qos_policy_id=policy.qos_policy_id)
    assert (volume.qos_policy_id, volume.qos.max_iops) == (policy.qos_policy_id, 2000)
    element.modify_qos_policy(qos_policy_id=policy.qos_policy_id, qos=QoS(max_iops=3000))
    changed = element.list_volumes(volume_ids=[volume.volume_id]).volumes[0].qos
    assert (changed.min_iops, changed.max_iops, changed.burst_iops) == (1000, 3000, 4000)
    assert element.get_qos_policy(qos_policy_id=policy.qos_policy_id).qos_policy.volume_ids == [volume.volume_id]
    custom = element.modify_volume(volume_id=volume.volume_id, qos=QoS(burst_iops=5000)).volume
    assert (custom.qos_policy_id, custom.qos.burst_iops, custom.qos.min_iops) == (None, 5000, 1000)
    element.delete_qos_policy(qos_policy_id=policy.qos_policy_id)
    assert element.list_qos_policies().qos_policies == []
    refused("xQoSPolicyDoesNotExist", element.get_qos_policy, qos_policy_id=policy.qos_policy_id)
    element.set_default_qos(min_iops=60, max_iops=6000, burst_iops=7000)
    default = element.get_default_qos()
    assert (default.min_iops, default.max_iops, default.burst_iops) == (60, 6000, 7000)


def statistics(element: Any) -> None:
    """Statistics of volumes, accounts and the cluster, in the shapes that the SDK parses."""
    volume = make_volume(element)
    one = element.get_volume_stats(volume_id=volume.volume_id).volume_stats
    assert (one.volume_id, one.volume_size) == (volume.volume_id, GIB)
    assert one.non_zero_blocks + one.zero_blocks == GIB // 4096
    assert len(element.list_volume_stats().volume_stats) == 1
    assert len(element.list_volume_stats_by_volume().volume_stats) == 1
    by_account = element.list_volume_stats_by_account().volume_stats[0]
    assert (by_account.account_id, by_account.volume_size) == (volume.account_id, GIB)
    assert element.list_volume_stats_by_volume_access_group().volume_stats == []
    assert element.get_cluster_stats().cluster_stats.read_ops == 0
    assert element.get_volume_efficiency(volume_id=volume.volume_id).compression == 1.0


def access_groups(element: Any) -> None:
    """Volume access groups and their initiators."""
    volume = make_volume(element)
    made = element.create_initiators([CreateInitiator(name="iqn.1993-08.org.debian:01:a", alias="host")]).initiators[0]
    group = element.create_volume_access_group(
        name="vag", initiators=["iqn.1993-08.org.debian:01:b"], volumes=[volume.volume_id]
    )
    group_id = group.volume_access_group_id
    assert group.volume_access_group.initiators == ["iqn.1993-08.org.debian:01:b"]
    element.add_initiators_to_volume_access_group(volume_access_group_id=group_id, initiators=[made.initiator_id])
    assert len(element.list_initiators().initiators) == 2
    moved = element.modify_initiators([ModifyInitiator(initiator_id=made.initiator_id, alias="renamed")]).initiators[0]
    assert (moved.alias, moved.volume_access_groups) == ("renamed", [group_id])
    luns = element.get_volume_access_group_lun_assignments(volume_access_group_id=group_id)
    assert luns.volume_access_group_lun_assignments.lun_assignments[0].lun == 0
    element.remove_volumes_from_volume_access_group(volume_access_group_id=group_id, volumes=[volume.volume_id])
    assert element.list_volume_access_groups().volume_access_groups[0].volumes == []
    element.delete_volume_access_group(volume_access_group_id=group_id, delete_orphan_initiators=True)
    assert element.list_initiators().initiators == []


STORIES = (connecting, accounts, volumes, snapshots, group_snapshots, clones, qos, statistics, access_groups)

if __name__ == "__main__":
    story = {each.__name__: each for each in STORIES}[sys.argv[1]]
    secret = sys.stdin.readline().strip()
    story(
        ElementFactory.create(
            "localhost", "admin", secret, port=int(sys.argv[2]), verify_ssl=True, print_ascii_art=False
        )
    )
    sys.stdout.write("told\n")
