"""A pod that writes all the time, wherever Kubernetes puts it, and what it knows to have written; see `lab.writer`.

Each start of it writes to a file of its own in the volume, and notes on the disk of its node what was acknowledged:
that outlives the pod, and is read where Kubernetes reaches nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import lab.writer
from csi_solidfire.handles import VolumeHandle
from lab import driver_image
from lab.kube import release
from lab.kube.api import Object
from lab.pods import Notes
from lab.vm import Machine
from tests.e2e import objects
from tests.e2e.space import Space, until

_NOTES: Final = "/var/lib/writers"
_PROGRAM: Final = "python3 /program/writer.py"
# Often enough to be in the middle of it whenever something breaks; the rest of the machine is for what is tested.
_PAUSE: Final = 0.05
_SOME: Final = 20  # writes: it is not the one that was under way
_START: Final = (
    f'run=$POD-$(cat /proc/sys/kernel/random/uuid); exec {_PROGRAM} append "/data/$run" "/notes/$run" {_PAUSE}'
)


@dataclass(frozen=True)
class Start:
    """One start of a writer, looked at on its node, without Kubernetes.

    Attributes:
        machine: The node.
        path: Its notes there.
    """

    machine: Machine
    path: str

    @property
    def name(self) -> str:
        """Of its file in the volume."""
        return Path(self.path).name

    def notes(self) -> Notes:
        return Notes.parse(self.machine.run(["cat", self.path]).stdout)

    def wait_for_writes(self, more: int = _SOME) -> None:
        """Wait until so many more writes have been acknowledged."""
        wanted = self.notes().acknowledged + more
        until(lambda: self.notes().acknowledged >= wanted, f"{self.path} does not get longer")

    def wait_for_failures(self, more: int = _SOME) -> None:
        """Wait until it has failed to write so often, which takes as long as its node's kernel is patient."""
        until(lambda: len(self.notes().failures) >= more, f"{self.path} tells of no failures")


@dataclass(frozen=True)
class Writer:
    """A StatefulSet of one, which is made anew wherever it is lost."""

    space: Space
    name: str = "writer"

    @classmethod
    def start(cls, space: Space, name: str = "writer") -> Self:
        """Make it, and return when it is ready."""
        new = cls(space, name)
        program = {"writer.py": Path(lab.writer.__file__).read_text()}
        space.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": program})
        space.apply(new._stateful_set())
        new.running()
        return new

    @property
    def pod(self) -> str:
        return f"{self.name}-0"

    @property
    def claim(self) -> str:
        return f"data-{self.pod}"

    @property
    def handle(self) -> VolumeHandle:
        return self.space.handle(self.claim)

    @property
    def node(self) -> str:
        """Where it is now."""
        return self.space.node_of(self.pod)

    @property
    def machine(self) -> Machine:
        return self.space.cluster.nodes[self.node]

    def uid(self) -> str:
        uid: str = self.space.get("Pod", self.pod)["metadata"]["uid"]
        return uid

    def running(self, *, after: str = "") -> Object:
        """Wait until it is ready; return its pod.

        Args:
            after: The uid of a pod that is not the one.
        """

        def is_another() -> bool:
            found = self.space.find("Pod", self.pod)
            return found is not None and found["metadata"]["uid"] != after

        self.space.until(is_another, f"have another pod {self.pod}")
        return self.space.running(self.pod)

    def last(self, machine: Machine, uid: str) -> Start | None:
        """Return the last start of a pod on a node."""
        name = machine.run(f"ls -t {self._notes} | grep '^{uid}' | head -n 1").stdout.strip()
        return Start(machine, f"{self._notes}/{name}") if name else None

    def now(self) -> Start:
        """Return the start that writes now, once it has written something."""
        machine, uid = self.machine, self.uid()
        seen: dict[Start, int] = {}

        def writing() -> Start | None:
            last = self.last(machine, uid)
            if last is None:
                return None
            acknowledged = last.notes().acknowledged
            return last if acknowledged >= seen.setdefault(last, acknowledged) + _SOME else None

        start: Start = self.space.until(writing, "have a writer that writes")
        return start

    def found(self, start: Start) -> int:
        """Return how many writes of a start are there, all of them whole and in order, as the pod sees it now."""
        return int(self.space.run(self.pod, f"{_PROGRAM} lines /data/{start.name}"))

    def digest(self, start: Start) -> str:
        """Return a checksum of what a start wrote, read from the volume and not from memory."""
        self.machine.run("sync; echo 3 > /proc/sys/vm/drop_caches")
        return self.space.run(self.pod, f"sha256sum < /data/{start.name}").split()[0]

    def stop(self) -> None:
        """Let it end in good order, and wait until its volume is nobody's."""
        self.space.api.patch("StatefulSet", self.name, {"spec": {"replicas": 0}}, self.space.name)
        volume = self.space.bound(self.claim)["metadata"]["name"]

        def is_nobodys() -> bool:
            attachments = self.space.api.list("VolumeAttachment")
            return not any(each["spec"]["source"].get("persistentVolumeName") == volume for each in attachments)

        self.space.until(is_nobodys, "let go of its volume")

    def is_sound(self) -> bool:
        """Whether fsck finds nothing to mend in what the array has; the volume must be nobody's."""
        file = f"/srv/array/volumes/volume-{self.handle.volume_id}"
        array = self.space.cluster.array.array
        return array.run(["e2fsck", "-fn", file], check=False, timeout=300).exit_code == 0

    @property
    def _notes(self) -> str:
        return f"{_NOTES}/{self.space.name}/{self.name}"

    def _stateful_set(self) -> Object:
        labels = {"app": self.name}
        return {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": self.name},
            "spec": {
                "replicas": 1,
                "serviceName": self.name,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": self._pod()},
                "volumeClaimTemplates": [objects.claim("data", storage_class=release.STORAGE_CLASS)],
            },
        }

    def _pod(self) -> Object:
        mounts = [("data", "/data"), ("notes", "/notes"), ("program", "/program")]
        return {
            "containers": [
                {
                    "name": "main",
                    "image": driver_image.NAME,  # It has a Python.
                    "command": ["sh", "-c", _START],
                    "env": [{"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}],
                    "securityContext": {"runAsUser": 0, "runAsGroup": 0},
                    "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts],
                }
            ],
            "terminationGracePeriodSeconds": 1,  # As process 1 it hears no SIGTERM.
            "volumes": [
                {"name": "notes", "hostPath": {"path": self._notes, "type": "DirectoryOrCreate"}},
                {"name": "program", "configMap": {"name": self.name}},
            ],
        }
