"""Volumes come into being once and go once, however often and in whatever state it is asked.

Element lets volumes share a name, so everything here looks first and compares the full CSI name in the
volume's attributes. A volume without the driver's mark is left alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from csi_solidfire import errors, logs
from csi_solidfire.element.errors import ElementError, LimitExceeded, NoSuchVolume, UnknownAccount
from csi_solidfire.element.types import Qos, Volume
from csi_solidfire.handles import VolumeHandle
from csi_solidfire.storage import names
from csi_solidfire.storage.cluster import Cluster
from csi_solidfire.storage.marks import AccountMark, VolumeMark
from csi_solidfire.storage.parameters import Parameters

log = logs.get(__name__)

MIB = 1 << 20
DEFAULT_SIZE = 1 << 30  # Bytes, when the request leaves the size open.


@dataclass(frozen=True)
class VolumeSpec:
    """A volume as asked for.

    Attributes:
        name: CSI's name.
        hostname: The node whose account it is born into.
        namespace: The namespace of that account.
        required_bytes: At least so many; 0 leaves it open.
        limit_bytes: At most so many; 0 for no limit.
    """

    name: str
    hostname: str
    namespace: str
    required_bytes: int
    limit_bytes: int
    parameters: Parameters

    @property
    def owner(self) -> AccountMark:
        return AccountMark(self.hostname, self.namespace)

    @property
    def mark(self) -> VolumeMark:
        asked = self.parameters
        return VolumeMark(
            self.name,
            self.namespace,
            asked.claim,
            recycle=asked.recycle,
            fencing=asked.fencing,
            mutual_chap=asked.mutual_chap,
        )


def ensure(cluster: Cluster, spec: VolumeSpec) -> tuple[VolumeHandle, Volume]:
    """Return the volume of that CSI name and its handle, creating it if there is none.

    One array call if it is there, two if not, besides what is remembered of cluster and account.

    Raises:
        errors.AlreadyExists: The name belongs to a volume of another kind.
        errors.OutOfRange: No size of the array's lies within what is asked; nothing was made.
        errors.Exhausted: The array is full or at a limit; nothing was made.
        errors.Unavailable: It may have been made; the next call finds it.
    """
    if found := _find(cluster, spec.name):
        handle, there = found
        with _not_final(f"volume {there.volume_id} of that name is there already"):
            policy = _policy_id(cluster, spec)
        _check_fits(there, spec, policy)
        return handle, _among_ours(cluster, spec, there)
    policy = _policy_id(cluster, spec)
    size = _size(spec, cluster)
    cluster.info()  # Needed below, where a refusal to tell it would come too late; and is it the array it was?
    volume = _create(cluster, spec, size, policy)
    with _not_final(f"volume {volume.volume_id} is made"):
        handle = cluster.handle_of(volume)
    if volume.total_size < size:
        raise errors.Unavailable(f"CreateVolume: volume {volume.volume_id} has {volume.total_size} bytes, not {size}")
    return handle, volume


@contextlib.contextmanager
def _not_final(because: str) -> Iterator[None]:
    """Make UNAVAILABLE of a refusal that would have a volume forgotten which is there, or may be."""
    try:
        yield
    except (errors.Unavailable, errors.Unauthenticated):
        raise  # The second is not final either where a volume is made (`rpc.status`), and says what there is to do.
    except errors.DriverError as error:
        raise errors.Unavailable(f"{error}; {because}") from error


def _find(cluster: Cluster, name: str) -> tuple[VolumeHandle, Volume] | None:
    """Return the volume that bears the CSI name, and its handle; one in the recycle bin does not come back.

    Raises:
        errors.Unavailable: There are several, or it is not active yet: a second one must not be made meanwhile. Or
            it cannot be seen; then an earlier try may have made it, so no reason for that can be final.
    """
    with _not_final("whether an earlier try has made the volume cannot be seen"):
        found = cluster.client.find_volumes_named(names.volume_name(name))
    candidates = [volume for volume in found if volume.status != "deleted"]
    ours = [volume for volume in candidates if (mark := VolumeMark.of(volume)) and mark.name == name]
    if len(ours) > 1:
        ids = " and ".join(str(volume.volume_id) for volume in ours)
        raise errors.Unavailable(
            f"volumes {ids} all claim to be {name}: delete the one that holds no data, then this goes on"
        )
    for volume in ours:
        with _not_final(f"volume {volume.volume_id} of that name is there already"):
            handle = cluster.handle_of(volume)
        if volume.status != "active":
            raise errors.Unavailable(f"volume {handle} is in state {volume.status}")
        return handle, volume
    return None


def _among_ours(cluster: Cluster, spec: VolumeSpec, volume: Volume) -> Volume:
    """Return a volume that was found, moved to an account of ours if it is in somebody else's.

    It may have been born there, if an id that was remembered for an account of ours met another array behind the
    address. Whoever has that account can log in to it.

    Raises:
        errors.Unavailable: That failed. The volume is there, so no reason for it can be final.
    """

    def move(account_id: int) -> Volume:
        after = cluster.client.modify_volume(volume.volume_id, account_id=account_id)
        if (after.volume_id, after.account_id) != (volume.volume_id, account_id):
            raise errors.Unavailable(f"ModifyVolume: it is not in account {account_id}; asking again")
        return after

    mark = VolumeMark.of(volume)
    try:
        if cluster.accounts.is_ours(volume.account_id, spec.namespace):
            return volume
        if mark is None or mark.nodes:
            raise errors.Unavailable(f"account {volume.account_id} is somebody else's, and the volume is published")
        return _in_account_of(cluster, spec.owner, move)
    except errors.DriverError as error:
        raise errors.Unavailable(f"volume {volume.volume_id} is there, its account is not right: {error}") from error


def _policy_id(cluster: Cluster, spec: VolumeSpec) -> int | None:
    """Return the id of the QoS policy asked for."""
    return cluster.qos_policy_id(spec.parameters.qos_policy) if spec.parameters.qos_policy else None


def _create(cluster: Cluster, spec: VolumeSpec, size: int, policy: int | None) -> Volume:
    def create(account_id: int) -> Volume:
        try:
            return cluster.client.create_volume(
                name=names.volume_name(spec.name),
                account_id=account_id,
                total_size=size,
                enable_512e=spec.parameters.enable_512e,
                qos=spec.parameters.qos,
                qos_policy_id=policy,
                attributes=attributes,
            )
        except UnknownAccount:
            raise
        except LimitExceeded as error:
            raise errors.Exhausted(f"{error} ({_advice(error, cluster, spec)})") from error
        except ElementError:
            if policy is not None:
                cluster.forget()  # Perhaps the policy was removed and made anew under another number.
            raise

    attributes = spec.mark.attributes({})
    return _in_account_of(cluster, spec.owner, create)


def _in_account_of(cluster: Cluster, owner: AccountMark, put: Callable[[int], Volume]) -> Volume:
    """Put a volume into the owner's account, once more if the account was removed since it was last seen."""
    for retry in (True, False):
        account_id = cluster.accounts.ensure_id(owner)
        try:
            volume = put(account_id)
        except UnknownAccount:
            cluster.accounts.forget(owner)
            if not retry:
                raise
        else:
            return volume
    raise AssertionError("unreachable: the second try returns or raises")


def _advice(error: LimitExceeded, cluster: Cluster, spec: VolumeSpec) -> str:
    """Say what somebody may do about a volume that there is no room for."""
    if error.name == "xTotalCapacityExceeded":
        return "delete volumes that nobody needs, purge the array's recycle bin, or give it more nodes"
    most, whose = cluster.limits().volumes_per_account, f"node {spec.hostname} and namespace {spec.namespace}"
    return f"an account holds {most} volumes at most; this one is for {whose}"


def _size(spec: VolumeSpec, cluster: Cluster) -> int:
    """Return the bytes to ask for: the array's granule is a MiB, its smallest volume 1,000,000,000 bytes."""
    limits = cluster.limits()
    smallest = round_up(limits.volume_size_min)
    wanted = spec.required_bytes or min(DEFAULT_SIZE, spec.limit_bytes or DEFAULT_SIZE)
    size = max(round_up(wanted), smallest)
    if not spec.required_bytes and spec.limit_bytes and size > spec.limit_bytes >= smallest:
        size = spec.limit_bytes // MIB * MIB
    if size > limits.volume_size_max:
        raise errors.OutOfRange(
            f"capacity_range: {wanted} bytes exceed the array's largest volume, {limits.volume_size_max}"
        )
    if spec.limit_bytes and size > spec.limit_bytes:
        raise errors.OutOfRange(
            f"capacity_range: limit_bytes {spec.limit_bytes} is below {size}, the array's next size for {wanted} bytes"
            f" (multiples of {MIB}, at least {smallest})"
        )
    return size


def round_up(size: int) -> int:
    return -(-size // MIB) * MIB


def _check_fits(volume: Volume, spec: VolumeSpec, policy: int | None) -> None:
    """Hold a volume that is there against what is asked for."""
    mark = VolumeMark.of(volume)
    asked = spec.parameters
    differences = [
        what
        for what, same in (
            ("size", spec.required_bytes <= volume.total_size <= (spec.limit_bytes or volume.total_size)),
            ("enable512e", volume.enable_512e == asked.enable_512e),
            ("qosPolicy", volume.qos_policy_id == policy),
            ("minIOPS, maxIOPS or burstIOPS", policy is not None or _same_qos(volume.qos, asked.qos)),
            ("deletePolicy", mark is not None and mark.recycle == asked.recycle),
            ("fencing", mark is not None and mark.fencing == asked.fencing),
            ("chap", mark is not None and mark.mutual_chap == asked.mutual_chap),
            ("namespace", mark is not None and mark.namespace == spec.namespace),
        )
        if not same
    ]
    if differences:
        raise errors.AlreadyExists(
            f"name {spec.name} belongs to volume {volume.volume_id} of {volume.total_size} bytes, which differs in: "
            + ", ".join(differences)
        )


def _same_qos(there: Qos, asked: Qos | None) -> bool:
    given = asked.to_json() if asked else {}
    return given.items() <= there.to_json().items()


def get(cluster: Cluster, handle: VolumeHandle) -> tuple[Volume, VolumeMark]:
    """Return an active volume of ours and its mark.

    Raises:
        errors.NotFound: It does not exist, or is deleted.
        errors.Refused: It was not made by this driver.
        errors.Unavailable: It is in a state between.
    """
    volume = cluster.find(handle)
    if volume is None or volume.status == "deleted":
        raise errors.NotFound(f"volume_id {handle} does not exist")
    if volume.status != "active":
        raise errors.Unavailable(f"volume {handle} is in state {volume.status}")
    mark = VolumeMark.of(volume)
    if mark is None:
        raise errors.Refused(f"volume {handle} ({volume.name}) was not made by this driver: it is left alone")
    return volume, mark


def delete(cluster: Cluster, handle: VolumeHandle) -> Volume | None:
    """Delete a volume and, unless its class says `recycle`, purge it. None if it was gone already.

    Raises:
        errors.Refused: It is published, or not this driver's; nothing was done.
    """
    volume = cluster.find(handle)
    if volume is None:
        return None
    mark = VolumeMark.of(volume)
    if mark is None:
        raise errors.Refused(f"volume {handle} ({volume.name}) was not made by this driver: it is not deleted")
    if mark.nodes and volume.status == "active":
        raise errors.Refused(f"volume {handle} is published to {', '.join(map(str, mark.nodes))}: unpublish it first")
    if volume.status not in ("active", "deleted"):
        raise errors.Unavailable(f"volume {handle} is in state {volume.status}")
    if volume.status == "active":
        # Deleted by somebody else since we looked, or by our own call whose answer was lost.
        with contextlib.suppress(NoSuchVolume):
            cluster.client.delete_volume(handle.volume_id)
    if not mark.recycle:
        _purge(cluster, handle)
    return volume


def _purge(cluster: Cluster, handle: VolumeHandle) -> None:
    try:
        cluster.client.purge_deleted_volume(handle.volume_id)
    except NoSuchVolume:
        log.info("the volume was gone before it was purged", volume=str(handle))
    except errors.DriverError as error:
        # It is deleted already, so no refusal can be the last word.
        raise errors.Unavailable(f"volume {handle} is in the recycle bin and was not purged: {error}") from error
