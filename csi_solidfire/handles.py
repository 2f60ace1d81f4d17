"""What the driver's parts, Kubernetes and the node tell each other in strings, as types.

Handles and contexts are kept in PersistentVolumes and VolumeAttachments for years: every form ever
released stays parseable (tests/unit/test_handles.py holds the history).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from csi_solidfire import errors

_CLUSTER_ID = r"[a-z0-9]{4}"
_VOLUME = re.compile(rf"(?P<cluster>{_CLUSTER_ID})\.(?P<volume>[1-9][0-9]{{0,9}})", re.ASCII)
_IQN = re.compile(
    rf"iqn\.2010-01\.com\.solidfire:(?P<cluster>{_CLUSTER_ID})\.[a-z0-9-]{{1,64}}\.(?P<volume>[1-9][0-9]{{0,9}})",
    re.ASCII,
)
_NAA = re.compile(r"6f47acc100000000(?P<cluster>[0-9a-f]{8})(?P<volume>[0-9a-f]{8})", re.ASCII)
CLUSTER_ID = re.compile(_CLUSTER_ID, re.ASCII)
_HOSTNAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_INITIATOR = re.compile(r"(iqn\.[0-9]{4}-[0-9]{2}\.|eui\.|naa\.)[a-z0-9.:-]{1,211}", re.ASCII)
_UINT32 = 1 << 32


@dataclass(frozen=True, order=True)
class VolumeHandle:
    """A volume of one cluster: `<cluster unique id>.<volume id>`, e.g. `jyay.1234`.

    Attributes:
        cluster_id: Element's four character `uniqueID`.
        volume_id: Element's `volumeID`, an unsigned 32 bit number that is never used twice.
    """

    cluster_id: str
    volume_id: int

    @classmethod
    def parse(cls, text: str) -> VolumeHandle:
        """Read a CSI volume id.

        Raises:
            errors.NotFound: It is none of ours. CSI asks for NOT_FOUND and not INVALID_ARGUMENT here.
        """
        match = _VOLUME.fullmatch(text)
        if match is None or int(match["volume"]) >= _UINT32:
            raise errors.NotFound(f"volume_id {shorten(text)} is not of the form <cluster id>.<volume number>")
        return cls(match["cluster"], int(match["volume"]))

    @classmethod
    def of_iqn(cls, iqn: str) -> VolumeHandle | None:
        """Return the volume a SolidFire target name spells; None for any other name."""
        match = _IQN.fullmatch(iqn)
        return match and cls._spelt(f"{match['cluster']}.{match['volume']}")

    @classmethod
    def of_naa(cls, naa: str) -> VolumeHandle | None:
        """Return the volume a SolidFire device id (32 hex digits) spells; None for any other id."""
        match = _NAA.fullmatch(naa.lower())
        if match is None:
            return None
        cluster = bytes.fromhex(match["cluster"]).decode("ascii", "replace")
        return cls._spelt(f"{cluster}.{int(match['volume'], 16)}")

    @classmethod
    def _spelt(cls, text: str) -> VolumeHandle | None:
        try:
            return cls.parse(text)
        except errors.NotFound:
            return None

    @property
    def naa(self) -> str:
        """The volume's SCSI NAA device id, 32 hex digits: vendor, cluster id in ASCII, volume id.

        Every `scsiNAADeviceID` in NetApp's samples and captures follows this rule.
        """
        return f"6f47acc100000000{self.cluster_id.encode('ascii').hex()}{self.volume_id:08x}"

    def __str__(self) -> str:
        return f"{self.cluster_id}.{self.volume_id}"


@dataclass(frozen=True, order=True)
class NodeId:
    """A node: `<hostname>/<initiator name>`, e.g. `worker-3/iqn.1993-08.org.debian:01:f0e1d2c3b4a5`."""

    hostname: str
    initiator: str

    @classmethod
    def parse(cls, text: str) -> NodeId:
        """Read a CSI node id.

        Raises:
            errors.NotFound: No node of ours can have it.
        """
        hostname, _, initiator = text.partition("/")
        if not (_HOSTNAME.fullmatch(hostname) and _INITIATOR.fullmatch(initiator)):
            raise errors.NotFound(f"node_id {shorten(text)} is not of the form <hostname>/<iSCSI initiator name>")
        return cls(hostname, initiator)

    @staticmethod
    def check_hostname(text: str) -> str:
        """Return a hostname if it is one.

        Raises:
            errors.InvalidRequest: No node can be called so.
        """
        if not _HOSTNAME.fullmatch(text):
            raise errors.InvalidRequest(f"hostname {shorten(text)} is not one: a-z, 0-9, - and ., up to 253 characters")
        return text

    def __str__(self) -> str:
        return f"{self.hostname}/{self.initiator}"


@dataclass(frozen=True)
class Chap:
    """CHAP credentials of an account, under the keys of Kubernetes' Secret type `kubernetes.io/iscsi-chap`.

    Attributes:
        username: The account's name; both directions use it.
        password: What the initiator proves to the array (Element's `initiatorSecret`).
        password_in: What the array proves to the initiator (`targetSecret`); None for one-way CHAP.
    """

    username: str
    password: str = field(repr=False)
    password_in: str | None = field(repr=False, default=None)

    USERNAME = "node.session.auth.username"
    PASSWORD = "node.session.auth.password"
    USERNAME_IN = "node.session.auth.username_in"
    PASSWORD_IN = "node.session.auth.password_in"
    KEYS = frozenset({USERNAME, PASSWORD, USERNAME_IN, PASSWORD_IN})
    SECRET_KEYS = frozenset({PASSWORD, PASSWORD_IN})

    def to_map(self) -> dict[str, str]:
        one_way = {self.USERNAME: self.username, self.PASSWORD: self.password}
        if self.password_in is None:
            return one_way
        return one_way | {self.USERNAME_IN: self.username, self.PASSWORD_IN: self.password_in}

    @classmethod
    def from_map(cls, values: Mapping[str, str], where: str) -> Chap | None:
        """Return the credentials in a map of strings; None if there are none.

        Args:
            values: A CSI secrets map or a publish context.
            where: What the map is, for the message.

        Raises:
            errors.InvalidRequest: Some keys are there and others missing, or a value is unusable.
        """
        if not cls.KEYS & values.keys():
            return None
        needed = [cls.USERNAME, cls.PASSWORD]
        if values.keys() & {cls.USERNAME_IN, cls.PASSWORD_IN}:
            needed += [cls.USERNAME_IN, cls.PASSWORD_IN]
        for key in needed:
            _check_chap_value(where, key, values.get(key, ""))
        if values.get(cls.USERNAME_IN, values[cls.USERNAME]) != values[cls.USERNAME]:
            raise errors.InvalidRequest(
                f"{where}: {cls.USERNAME_IN} must equal {cls.USERNAME}: Element has one name for both"
            )
        return cls(values[cls.USERNAME], values[cls.PASSWORD], values.get(cls.PASSWORD_IN))


def _check_chap_value(where: str, key: str, value: str) -> None:
    """Refuse what cannot be a CHAP value, without showing it."""
    if not value:
        raise errors.InvalidRequest(f"{where}: {key} is missing or empty")
    if value != value.strip():
        raise errors.InvalidRequest(f"{where}: {key} begins or ends with white space, perhaps a newline from `echo`")
    if not (value.isascii() and value.isprintable()):
        raise errors.InvalidRequest(f"{where}: {key} has a character that is not printable ASCII")
    if key in Chap.SECRET_KEYS and not 12 <= len(value) <= 16:
        raise errors.InvalidRequest(f"{where}: {key} has {len(value)} characters; Element takes 12 to 16")


@dataclass(frozen=True)
class PublishContext:
    """What a node needs to know of a published volume besides its CHAP secrets.

    Attributes:
        username: The account that the volume was in when this attachment was made. It does not change while the
            attachment lasts; the volume's Secret does, once another node has the volume.
        portal: `<address>:<port>` of the cluster's storage address (SVIP); IPv6 addresses in brackets.
        iqn: The volume's target name.
        total_size: Bytes when it was published. The volume may have grown since and never shrinks.
    """

    username: str
    portal: str
    iqn: str
    total_size: int

    USERNAME = "username"
    PORTAL = "portal"
    IQN = "iqn"
    TOTAL_SIZE = "totalSize"

    def to_map(self) -> dict[str, str]:
        where = {self.PORTAL: self.portal, self.IQN: self.iqn, self.TOTAL_SIZE: str(self.total_size)}
        return {self.USERNAME: self.username, **where}

    @classmethod
    def from_map(cls, values: Mapping[str, str], handle: VolumeHandle) -> PublishContext:
        """Read a CSI publish context and hold it against the volume it is for.

        Raises:
            errors.InvalidRequest: A key is missing or malformed, or the target is another volume's.
        """
        for key in (cls.USERNAME, cls.PORTAL, cls.IQN, cls.TOTAL_SIZE):
            if not values.get(key):
                raise errors.InvalidRequest(f"publish_context: {key} is missing or empty")
        if not re.fullmatch(r"([0-9A-Za-z.-]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5}", values[cls.PORTAL], re.ASCII):
            raise errors.InvalidRequest(f"publish_context: {cls.PORTAL} must be <address>:<port>")
        if VolumeHandle.of_iqn(values[cls.IQN]) != handle:
            raise errors.InvalidRequest(
                f"publish_context: {cls.IQN} {shorten(values[cls.IQN])} is not the target of volume {handle}"
            )
        if not re.fullmatch(r"[1-9][0-9]{0,18}", values[cls.TOTAL_SIZE], re.ASCII):
            raise errors.InvalidRequest(f"publish_context: {cls.TOTAL_SIZE} must be a number of bytes")
        return cls(values[cls.USERNAME], values[cls.PORTAL], values[cls.IQN], int(values[cls.TOTAL_SIZE]))


def shorten(text: str, length: int = 140) -> str:
    """Quote text from outside for a message: one line, printable, not longer than is useful."""
    return repr(text if len(text) <= length else text[:length] + "…")
