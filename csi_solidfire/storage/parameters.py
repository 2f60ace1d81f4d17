"""A StorageClass's parameters, each checked, none ignored."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from csi_solidfire import errors
from csi_solidfire.element.types import Qos
from csi_solidfire.handles import shorten
from csi_solidfire.storage.access import FILESYSTEMS

# The provisioner's own prefix: with --extra-create-metadata it adds keys that are not for us.
_KUBERNETES = "csi.storage.k8s.io/"
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_MAX_IOPS = 200_000  # GetLimits: volumeMaxIOPSMax, volumeBurstIOPSMax
_KNOWN = (
    "accountNamespace",
    "burstIOPS",
    "chap",
    "cluster",
    "deletePolicy",
    "enable512e",
    "fencing",
    "maxIOPS",
    "minIOPS",
    "qosPolicy",
)


@dataclass(frozen=True)
class Parameters:
    """What a StorageClass says about its volumes.

    Attributes:
        qos: IOPS values of its own; None for the array's default or a policy's.
        qos_policy: Name or number of a QoS policy; empty for none.
        namespace: The claim's namespace, else the class's `accountNamespace`; empty if neither is known.
        claim: Name of the PersistentVolumeClaim, if Kubernetes tells it.
        mutual_chap: Nodes ask the array for proof of who it is, too.
        cluster: Which of the configured clusters; empty for the only one.
    """

    qos: Qos | None = None
    qos_policy: str = ""
    enable_512e: bool = True
    recycle: bool = False
    fencing: bool = True
    mutual_chap: bool = True
    namespace: str = ""
    claim: str = ""
    cluster: str = ""

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> Parameters:
        """Read the parameters of a request.

        Raises:
            errors.InvalidRequest: One is unknown, misspelt or out of range. All problems are in the message.
        """
        reader = _Reader(parameters)
        parsed = cls(
            qos=reader.qos(),
            qos_policy=parameters.get("qosPolicy", ""),
            enable_512e=reader.flag("enable512e", default=True),
            recycle=reader.choice("deletePolicy", ("purge", "recycle")) == "recycle",
            fencing=reader.flag("fencing", default=True),
            mutual_chap=reader.choice("chap", ("mutual", "one-way")) == "mutual",
            namespace=reader.namespace(f"{_KUBERNETES}pvc/namespace") or reader.namespace("accountNamespace"),
            claim=parameters.get(f"{_KUBERNETES}pvc/name", ""),
            cluster=parameters.get("cluster", ""),
        )
        reader.choice(f"{_KUBERNETES}fstype", ("", *FILESYSTEMS))
        if parsed.qos and parsed.qos_policy:
            reader.problems.append("qosPolicy cannot be combined with minIOPS, maxIOPS or burstIOPS")
        reader.finish()
        return parsed


class _Reader:
    """Reads one value after the other and collects what is wrong with them."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._parameters = parameters
        unknown = sorted(key for key in parameters if key not in _KNOWN and not key.startswith(_KUBERNETES))
        self.problems = [f"{shorten(key)} is not known (known: {', '.join(_KNOWN)})" for key in unknown]
        self.problems += [f"{key} must not be empty" for key in ("cluster", "qosPolicy") if parameters.get(key) == ""]

    def finish(self) -> None:
        if self.problems:
            raise errors.InvalidRequest("parameters: " + "; ".join(self.problems))

    def _read(self, key: str, default: str, fits: Callable[[str], bool], allowed: str) -> str:
        value = self._parameters.get(key, default)
        if key in self._parameters and not fits(value):
            self.problems.append(f"{key} is {shorten(value, 40)} and must be {allowed}")
            return default
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        return (
            self._read(key, str(default).lower(), lambda value: value in ("true", "false"), '"true" or "false"')
            == "true"
        )

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        allowed = "one of " + ", ".join(choice for choice in choices if choice)
        return self._read(key, choices[0], lambda value: value in choices, allowed)

    def namespace(self, key: str) -> str:
        allowed = "a Kubernetes namespace: 1 to 63 of a-z, 0-9 and -"
        return self._read(key, "", lambda value: bool(_NAMESPACE.fullmatch(value)), allowed)

    def _iops(self, key: str) -> int | None:
        def fits(value: str) -> bool:
            return bool(re.fullmatch(r"[1-9][0-9]{0,6}", value, re.ASCII)) and int(value) <= _MAX_IOPS

        value = self._read(key, "", fits, f"a whole number from 1 to {_MAX_IOPS}")
        return int(value) if value else None

    def qos(self) -> Qos | None:
        qos = Qos(self._iops("minIOPS"), self._iops("maxIOPS"), self._iops("burstIOPS"))
        given = [value for value in (qos.min_iops, qos.max_iops, qos.burst_iops) if value is not None]
        if given != sorted(given):
            self.problems.append("minIOPS must not exceed maxIOPS, nor maxIOPS burstIOPS")
        return qos if given else None
