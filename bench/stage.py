"""NodeStageVolume beside the same commands typed by hand, in a node VM."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

from bench.table import Figure, in_turn, ratio
from csi_solidfire.handles import Chap, PublishContext
from csi_solidfire.pb import csi_pb2
from lab import csi
from lab.site import Node, Site

_RUNS = 5
_numbers = itertools.count()

# What somebody would type who knows the target's name: no discovery, no waiting for what is not needed. Prints
# the seconds from the first command to the last, so that the way into the VM is not counted.
_BY_HAND = """
set -e
record=/etc/iscsi/nodes/$IQN/${PORTAL%:*},${PORTAL#*:},1
began=$(date +%s%N)
mkdir -p -m 700 "$record"
umask 077
cat > "$record/default" <<END
# BEGIN RECORD 2.1.8
node.name = $IQN
node.tpgt = 1
node.startup = manual
node.session.auth.authmethod = CHAP
node.session.auth.chap_algs = SHA3-256,SHA256,SHA1,MD5
node.session.auth.username = $NAME
node.session.auth.password = $PASSWORD
node.session.auth.username_in = $NAME
node.session.auth.password_in = $PASSWORD_IN
node.conn[0].address = ${PORTAL%:*}
node.conn[0].port = ${PORTAL#*:}
node.session.scan = auto
# END RECORD
END
iscsiadm -m node -T "$IQN" -p "$PORTAL" --login > /dev/null
until disk=$(ls -d /sys/class/iscsi_session/session*/device/target*/*:0/block/sd* 2>/dev/null); do :; done
disk=/dev/$(basename "$disk")
until [ -b "$disk" ]; do :; done
blkid -p "$disk" > /dev/null || true
mkfs.ext4 -q -m0 -E lazy_itable_init=1,lazy_journal_init=0,nodiscard "$disk"
mount -t ext4 "$disk" "$WHERE"
ended=$(date +%s%N)
echo $(( (ended - began) / 1000 ))
"""


def figures() -> Iterator[Figure]:
    with Site.start(nodes=["node-1"]) as site:
        node = site.node("node-1")
        measured = in_turn(_RUNS, lambda _: _staged(site, node), lambda _: _by_hand(site, node), warm_up=1)
        yield ratio("NodeStageVolume, ext4 on a new volume", *measured, "1.15 x")
        pid = node.machine.run(["systemctl", "show", "-P", "MainPID", "csi-solidfire"]).stdout.strip()
        status = node.machine.read_file(f"/proc/{pid}/status").decode()
        resident = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))
        yield Figure(
            "Memory of the node service, after staging", f"{resident / 1024:.0f} MB", "60 MB", "VmRSS in the VM"
        )


def _staged(site: Site, node: Node) -> float:
    """Stage a new volume with the driver; seconds as the caller sees them."""
    handle, context = _published(site, node)
    path = node.staging_path(handle)
    request = csi_pb2.NodeStageVolumeRequest(
        volume_id=handle, publish_context=context, staging_target_path=path, volume_capability=csi.mount("ext4")
    )
    began = time.perf_counter()
    node.csi.node.NodeStageVolume(request, timeout=csi.TIMEOUT)
    seconds = time.perf_counter() - began
    _remove(site, node, handle, path)
    return seconds


def _by_hand(site: Site, node: Node) -> float:
    """Do the same in a shell."""
    handle, context = _published(site, node)
    path = node.staging_path(handle)
    environment = {
        "IQN": context[PublishContext.IQN],
        "PORTAL": context[PublishContext.PORTAL],
        "NAME": context[Chap.USERNAME],
        "PASSWORD": context[Chap.PASSWORD],
        "PASSWORD_IN": context[Chap.PASSWORD_IN],
        "WHERE": path,
    }
    took = node.machine.run(["bash", "-c", _BY_HAND], env=environment, timeout=120)
    _remove(site, node, handle, path)
    return int(took.stdout.split()[-1]) / 1e6


def _published(site: Site, node: Node) -> tuple[str, dict[str, str]]:
    controller = site.controller.controller
    capability = csi.mount("ext4")
    made = controller.CreateVolume(
        csi_pb2.CreateVolumeRequest(name=f"bench-{next(_numbers)}", volume_capabilities=[capability]),
        timeout=csi.TIMEOUT,
    )
    handle = made.volume.volume_id
    published = controller.ControllerPublishVolume(
        csi_pb2.ControllerPublishVolumeRequest(volume_id=handle, node_id=node.id, volume_capability=capability),
        timeout=csi.TIMEOUT,
    )
    return handle, dict(published.publish_context)


def _remove(site: Site, node: Node, handle: str, path: str) -> None:
    node.csi.node.NodeUnstageVolume(
        csi_pb2.NodeUnstageVolumeRequest(volume_id=handle, staging_target_path=path), timeout=csi.TIMEOUT
    )
    controller = site.controller.controller
    controller.ControllerUnpublishVolume(
        csi_pb2.ControllerUnpublishVolumeRequest(volume_id=handle), timeout=csi.TIMEOUT
    )
    controller.DeleteVolume(csi_pb2.DeleteVolumeRequest(volume_id=handle), timeout=csi.TIMEOUT)
