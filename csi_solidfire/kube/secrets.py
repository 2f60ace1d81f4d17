"""The CHAP credentials of volumes, a Kubernetes Secret for each.

It has the type that Kubernetes has for this, `kubernetes.io/iscsi-chap`, and is named after the PersistentVolume, so
that a StorageClass can name it before it exists (`csi.storage.k8s.io/node-stage-secret-name: ${pv.name}`); kubelet
reads it each time a volume is staged. A Secret that does not say that it is the driver's is never written nor removed.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable

from csi_solidfire import errors, logs
from csi_solidfire.handles import Chap, VolumeHandle, shorten
from csi_solidfire.kube.client import Api, Conflict, Missing, Object

log = logs.get(__name__)

TYPE = "kubernetes.io/iscsi-chap"
MANAGED_BY = "app.kubernetes.io/managed-by"
COMPONENT = "app.kubernetes.io/component"
_TRIES = 5  # so many others would have to change the same Secret at the same moment
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", re.ASCII)
_LONGEST_NAME = 253


class ChapSecrets:
    """The Secrets of one namespace. Keeps nothing: what is there is asked each time."""

    def __init__(self, api: Api, namespace: str, driver_name: str) -> None:
        self._api = api
        self._namespace = namespace
        self._path = f"/api/v1/namespaces/{namespace}/secrets"
        self._driver_name = driver_name
        self._volume_label = f"{driver_name}/volume"

    def check_name(self, name: str) -> None:
        """Refuse a volume's name that no Secret can have.

        Raises:
            errors.InvalidRequest: It is none of Kubernetes' names.
        """
        if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
            raise errors.InvalidRequest(
                f"name {shorten(name)} cannot be a Secret's: a-z, 0-9, - and ., up to {_LONGEST_NAME} characters"
            )

    def ensure(
        self,
        name: str,
        handle: VolumeHandle,
        claim: str,
        chap: Chap | Callable[[], Chap],
        claimed_by: Callable[[VolumeHandle], bool],
    ) -> None:
        """See to it that a volume's Secret is there, and that it holds the credentials if they are given outright.

        Args:
            name: CSI's name of the volume, which is the PersistentVolume's.
            handle: The volume.
            claim: `<namespace>/<name>` of its PersistentVolumeClaim, for people; may be empty.
            chap: The credentials, or what fetches them if the Secret turns out to be missing.
            claimed_by: Tells whether another volume, which the Secret turns out to be for, is there still and has the
                same name. It may raise `errors.Unavailable`.

        Raises:
            errors.Unavailable: Kubernetes did not answer, refused, or has a Secret of that name that is not the
                driver's, or another volume's. The message says what to do.
        """
        for _ in range(_TRIES):
            try:
                there = self._read(name)
                if there is None:
                    self._create(self._secret(name, handle, claim, _now(chap)))
                elif isinstance(chap, Chap) or not self._is_of(there, handle):
                    self._check_free(there, handle, claimed_by)
                    self._correct(there, self._secret(name, handle, claim, _now(chap)))
            except (Missing, Conflict):
                continue  # Somebody else made, changed or removed it since it was read.
            return
        raise errors.Unavailable(f"{self._called(name)} is being changed by others; asking again")

    def remove(self, handle: VolumeHandle) -> None:
        """Remove a volume's Secret, found by what it says it is for and not by its name.

        Raises:
            errors.Unavailable: Kubernetes did not answer or refused; it may be there still.
        """
        selector = f"{MANAGED_BY}={self._driver_name},{self._volume_label}={handle}"
        found = self._api.call("list", f"Secrets of volume {handle}", self._path, query={"labelSelector": selector})
        if "items" not in found:
            raise errors.Unavailable("Kubernetes answered with a list of Secrets that has no items; asking again")
        for secret in found["items"] or []:
            self._delete(secret)

    def _read(self, name: str) -> Object | None:
        """Return the Secret of that name; None if there is none.

        Raises:
            errors.Unavailable: It is somebody else's.
        """
        try:
            there = self._api.call("get", self._called(name), self._path_of(name))
        except Missing:
            return None
        if _labels(there).get(MANAGED_BY) != self._driver_name:
            raise errors.Unavailable(
                f"{self._called(name)} exists and is not this driver's (its label {MANAGED_BY} is not"
                f" {self._driver_name}): remove it, then this goes on"
            )
        return there

    def _check_free(self, there: Object, handle: VolumeHandle, claimed_by: Callable[[VolumeHandle], bool]) -> None:
        """See to it that no volume loses the Secret that its node logs in with.

        Raises:
            errors.Unavailable: It is another volume's.
        """
        try:
            other = VolumeHandle.parse(_labels(there).get(self._volume_label, ""))
        except errors.NotFound:
            return  # No volume has such a handle.
        if other != handle and claimed_by(other):
            raise errors.Unavailable(
                f"{self._called(_name(there))} is that of volume {other}, whose name volume {handle} has, too: one is a"
                " copy made on the array. Write another name into the copy's attribute, then this goes on"
            )

    def _create(self, wanted: Object) -> None:
        self._api.call("create", self._called(_name(wanted)), self._path, body=wanted)

    def _correct(self, there: Object, wanted: Object) -> None:
        """Make a Secret of ours what it shall be, unless it is."""
        if (there.get("type"), there.get("data")) == (TYPE, wanted["data"]) and (
            _labels(there).items() >= _labels(wanted).items()
        ):
            return
        name = _name(there)
        if there.get("type") != TYPE or there.get("immutable"):
            self._delete(there)  # Kubernetes lets neither be changed.
            self._create(wanted)
        else:
            # All else is sent back as it came, its resourceVersion above all: of two who change it at once one fails.
            metadata = _metadata(there) | {"labels": _labels(there) | _labels(wanted)}
            changed = there | {"metadata": metadata, "data": wanted["data"]}
            self._api.call("update", self._called(name), self._path_of(name), body=changed)
        log.info("corrected a volume's Secret", secret=self._called(name))

    def _delete(self, secret: Object) -> None:
        """Delete exactly this one, and not another of the name that was made since it was read."""
        name = _name(secret)
        only = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": _uid(secret)}}
        try:
            self._api.call("delete", self._called(name), self._path_of(name), body=only)
        except (Missing, Conflict):
            log.info("the Secret was gone already", secret=self._called(name))

    def _secret(self, name: str, handle: VolumeHandle, claim: str, chap: Chap) -> Object:
        labels = {MANAGED_BY: self._driver_name, COMPONENT: "chap", self._volume_label: str(handle)}
        annotations = {f"{self._driver_name}/claim": claim} if claim else {}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": TYPE,
            "metadata": {"name": name, "labels": labels, "annotations": annotations},
            "data": {key: b64encode(value.encode()).decode() for key, value in chap.to_map().items()},
        }

    def _is_of(self, there: Object, handle: VolumeHandle) -> bool:
        return _labels(there).get(self._volume_label) == str(handle)

    def _path_of(self, name: str) -> str:
        """Return the Secret's place in the API; a name from the array that is none would be another place.

        Raises:
            errors.Unavailable: It is none of Kubernetes' names.
        """
        if not _NAME.fullmatch(name):
            raise errors.Unavailable(f"{self._called(shorten(name))}: no Secret can have that name")
        return f"{self._path}/{name}"

    def _called(self, name: str) -> str:
        return f"Secret {self._namespace}/{name}"


def _now(chap: Chap | Callable[[], Chap]) -> Chap:
    return chap if isinstance(chap, Chap) else chap()


def _labels(secret: Object) -> dict[str, str]:
    return _metadata(secret).get("labels") or {}


def _name(secret: Object) -> str:
    return str(_metadata(secret)["name"])


def _uid(secret: Object) -> str:
    uid = _metadata(secret).get("uid")
    if not uid:
        raise errors.Unavailable(f"Kubernetes answered with a Secret {_name(secret)} that has no uid; asking again")
    return str(uid)


def _metadata(secret: Object) -> Object:
    """Return a Secret's metadata.

    Raises:
        errors.Unavailable: There is none, or it does not say which Secret it is.
    """
    metadata = secret.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        raise errors.Unavailable("Kubernetes answered with a Secret that has no name; asking again")
    return metadata
