"""A namespace of a running cluster: objects put into it, waited for, and looked into."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Self

import requests
import urllib3

from csi_solidfire.handles import VolumeHandle
from lab.kube import Api, ApiException, release
from lab.kube.api import Object
from lab.kube.cluster import Cluster
from lab.vm import LabError, Unanswered

PATIENCE = 1200.0  # seconds for anything on a busy machine; nothing is ever asserted about it
_POLL = 0.1  # seconds
_MAY_PASS = (404, 500, 503, 504)  # not there yet, or an API server that is just being restarted


class Space:
    """A namespace.

    Attributes:
        name: Its name.
        cluster: Where it is.
        api: The API for somebody who may do everything.
    """

    def __init__(self, cluster: Cluster, api: Api, name: str) -> None:
        self.cluster = cluster
        self.api = api
        self.name = name

    @classmethod
    def make(cls, cluster: Cluster, api: Api, name: str) -> Self:
        """Make a namespace, and return when pods can be put into it."""
        space = cls(cluster, api, name)
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        space.until(lambda: space.find("ServiceAccount", "default"), "have a service account")
        return space

    def apply(self, *objects: Object | str) -> None:
        """Create or change objects; a text may hold several."""
        for each in objects:
            self.api.apply(each, self.name)

    def find(self, kind: str, name: str) -> Object | None:
        return self.api.find(kind, name, self.name)

    def get(self, kind: str, name: str) -> Object:
        return self.api.get(kind, name, self.name)

    def until(self, happened: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
        """Return the first answer that is true.

        Args:
            happened: Asks the API; if that does not answer, it is asked again.
            what: Said if it does not: "the namespace does not <what>".
            seconds: How long to wait.

        Raises:
            AssertionError: It does not happen. Says what the namespace's events and pods tell.
        """
        return until(happened, f"namespace {self.name} does not {what}", self._tell, seconds)

    def running(self, pod: str, seconds: float = PATIENCE) -> Object:
        """Wait until a pod is ready; return it."""

        found: Object = self.until(lambda: self.is_running(pod), f"have pod {pod} ready", seconds)
        return found

    def is_running(self, pod: str) -> Object | None:
        """Return a pod if it is ready."""
        found = self.find("Pod", pod)
        conditions = found["status"].get("conditions", []) if found else []
        return found if any(each["type"] == "Ready" and each["status"] == "True" for each in conditions) else None

    def ended(self, pod: str) -> str:
        """Wait until a pod has done its work; return what it printed."""
        self.until(lambda: self.get("Pod", pod)["status"]["phase"] == "Succeeded", f"have pod {pod} succeed")
        return self.kubectl("logs", pod)

    def bound(self, claim: str) -> Object:
        """Wait until a claim is bound; return its PersistentVolume."""

        def volume() -> str | None:
            found = self.get("PersistentVolumeClaim", claim)
            name: str = found["spec"]["volumeName"] if found["status"].get("phase") == "Bound" else ""
            return name

        name = self.until(volume, f"bind claim {claim}")
        return self.api.get("PersistentVolume", name)

    def handle(self, claim: str) -> VolumeHandle:
        """Wait until a claim is bound; return which volume it is."""
        return VolumeHandle.parse(self.bound(claim)["spec"]["csi"]["volumeHandle"])

    def node_of(self, pod: str) -> str:
        name: str = self.get("Pod", pod)["spec"]["nodeName"]
        return name

    def remove(self, kind: str, *names: str) -> None:
        """Delete objects of a kind, and wait until they are gone."""
        for name in names:
            self.api.delete(kind, name, self.name)
        self.until(lambda: not any(self.find(kind, name) for name in names), f"get rid of {kind} {', '.join(names)}")

    def replace(self, *pods: str) -> None:
        """Delete pods that their owner makes anew, and wait until the new ones are ready."""
        old = {pod: self.get("Pod", pod)["metadata"]["uid"] for pod in pods}
        for pod in pods:
            self.api.delete("Pod", pod, self.name)

        def is_new(pod: str) -> bool:
            found = self.find("Pod", pod)
            return found is not None and found["metadata"]["uid"] != old[pod]

        self.until(lambda: all(map(is_new, pods)), f"make {', '.join(pods)} anew")
        for pod in pods:
            self.running(pod)

    def run(self, pod: str, script: str) -> str:
        """Run a line for `sh` in a pod and return what it prints.

        Raises:
            LabError: It failed; the message has its complaint.
        """
        return self.kubectl("exec", pod, "--", "sh", "-ec", script).strip()

    def write(self, pod: str, path: str = "/data/file", mib: int = 8) -> str:
        """Write random data to a file or device of a pod and return its checksum."""
        script = f"dd if=/dev/urandom of={path} bs=1M count={mib} conv=fsync,notrunc 2> /dev/null"
        return self.run(pod, f"{script}; {_checksum(path, mib)}")

    def read(self, pod: str, path: str = "/data/file", mib: int = 8) -> str:
        """Return the checksum of what `write` wrote, as a pod sees it now."""
        return self.run(pod, _checksum(path, mib))

    def kubectl(self, *arguments: str, check: bool = True) -> str:
        return self.cluster.kubectl("--namespace", self.name, *arguments, check=check)

    def event(self, kind: str, name: str, has: str) -> str:
        """Wait until an event about an object has some words in its message; return the message."""

        def found() -> str | None:
            fields = f"involvedObject.kind={kind},involvedObject.name={name}"
            events = self.api.list("Event", self.name, fields=fields, api_version="v1")
            return next((message for each in events if has in (message := each.get("message") or "")), None)

        message: str = self.until(found, f"have an event of {kind} {name} with the words {has!r}")
        return message

    def persistent_volumes(self) -> list[str]:
        """Return the names of those that belong to claims of the namespace."""
        listed = {
            each["metadata"]["name"]: each["spec"].get("claimRef", {}) for each in self.api.list("PersistentVolume")
        }
        return [name for name, claim in listed.items() if claim.get("namespace") == self.name]

    def volume(self, claim: str) -> dict[str, Any]:
        """Return a claim's volume as the array shows it."""
        return volume(self.cluster, self.handle(claim))

    def account(self, claim: str) -> str:
        """Return the name of the account that a claim's volume is in."""
        account_id = self.volume(claim)["accountID"]
        name: str = self.cluster.array.call("GetAccountByID", {"accountID": account_id})["account"]["username"]
        return name

    def delete(self) -> None:
        """Ask for the deletion of all that has to do with volumes."""
        self.kubectl("delete", "statefulsets,pods,persistentvolumeclaims", "--all", "--wait=false")

    def wait_gone(self) -> None:
        """Delete the namespace, once what `delete` asked for is done: while it is not, that looks every 8 s only."""
        kinds = ("Pod", "PersistentVolumeClaim")
        self.until(lambda: not any(self.api.list(kind, self.name) for kind in kinds), "get rid of pods and claims")
        if self.api.find("Namespace", self.name) is not None:
            self.api.delete("Namespace", self.name)
        self.until(lambda: self.api.find("Namespace", self.name) is None, "go")

    def wait_detached(self) -> None:
        """Wait until no node has its volumes: kubelet lets pods go before it has unstaged what they used."""
        self.until(lambda: not self._attached(), "have its volumes detached")

    def _attached(self) -> set[str | None]:
        sources = [each["spec"]["source"] for each in self.api.list("VolumeAttachment")]
        return {source.get("persistentVolumeName") for source in sources} & set(self.persistent_volumes())

    def _tell(self) -> str:
        """What somebody would look at to see why something does not happen."""
        events = self.kubectl("get", "events", "--sort-by=.lastTimestamp", check=False)
        objects = self.kubectl("get", "pods,pvc,statefulsets", "--output=wide", check=False)
        return f"{objects}\n{events[-4000:]}\n{driver_log(self.cluster)[-3000:]}"


def until(happened: Callable[[], Any], what: str, tell: Callable[[], str] = str, seconds: float = PATIENCE) -> Any:
    """Return the first answer that is true.

    Args:
        happened: Asks the API, the array or a node; if that does not answer, it is asked again.
        what: What is said if it does not happen.
        tell: What is said besides.
        seconds: How long to wait.

    Raises:
        AssertionError: It does not happen.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            if answer := happened():
                return answer
            trouble = ""
        except ApiException as error:
            trouble = f": {error.status} {error.reason}"
            if error.status not in _MAY_PASS:
                raise
        except (urllib3.exceptions.HTTPError, requests.RequestException, Unanswered) as error:
            trouble = f": {type(error).__name__}"
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}{trouble}\n{tell()}")
        time.sleep(_POLL)


def volume(cluster: Cluster, handle: VolumeHandle) -> dict[str, Any]:
    """Return a volume as the array shows it.

    Raises:
        LookupError: The array does not have it.
    """
    for each in cluster.array.call("ListActiveVolumes")["volumes"]:
        if each["volumeID"] == handle.volume_id:
            found: dict[str, Any] = each
            return found
    raise LookupError(f"the array has no volume {handle}")


def driver_log(cluster: Cluster) -> str:
    """The last lines of the driver's pods."""
    pods = cluster.kubectl("-n", release.NAMESPACE, "get", "pods", "-o", "wide", check=False)
    select = ("logs", "-l", "app.kubernetes.io/name=csi-solidfire", "-c", "driver", "--prefix", "--tail=15")
    try:
        return pods + cluster.kubectl("-n", release.NAMESPACE, *select, check=False)
    except LabError as error:
        return f"{pods}{error}"


def _checksum(path: str, mib: int) -> str:
    return f"dd if={path} bs=1M count={mib} 2> /dev/null | sha256sum | cut -d' ' -f1"
