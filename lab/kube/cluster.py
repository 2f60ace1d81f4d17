"""A whole Kubernetes: control plane here, nodes in VMs, and an array that they share.

with Cluster.start() as cluster:
    cluster.import_image(archive)
    cluster.kubectl("apply", "-f", "-", input=manifests)
    cluster.nodes["node-1"].pause()
    cluster.array.call("ListActiveVolumes")
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from lab import programs, site
from lab.kube import node_image
from lab.kube.api import Api, Object
from lab.kube.control_plane import ControlPlane
from lab.kube.node import Node, join
from lab.site import Site
from lab.vm import Image, LabError, Machine, Run
from lab.vm.progress import Say

NAME: Final = "kubernetes"
"""Of the run that `make kubernetes` leaves up."""

_PROGRAMS: Final = (
    programs.ETCD,
    programs.KUBE_APISERVER,
    programs.KUBE_CONTROLLER_MANAGER,
    programs.KUBE_SCHEDULER,
    programs.KUBECTL,
    programs.HELM,
)
_READY_SECONDS: Final = 900.0  # about 15, where nothing else runs
_TOOL_SECONDS: Final = 300.0
_PLANE: Final = "plane"


class Cluster:
    """Made by `start`; a context manager.

    Attributes:
        run: Its processes and VMs.
        plane: Its control plane.
        array: The array, with nothing on it.
        nodes: The VMs by the names of the nodes.
    """

    def __init__(self, run: Run, plane: ControlPlane, array: Site, nodes: dict[str, Machine]) -> None:
        self.run = run
        self.plane = plane
        self.array = array
        self.nodes = nodes

    @classmethod
    def start(
        cls,
        nodes: int = 2,
        *,
        images: Sequence[Path] = (),
        say: Callable[[str], None] = lambda _: None,
        detached: bool = False,
        name: str = NAME,
    ) -> Self:
        """Start everything, and return when the nodes are ready.

        Args:
            nodes: How many; they are called `node-1`, `node-2`, ...
            images: Archives that the nodes have from the start; see `node_image.ensure`.
            say: Told what is going on. A first start builds programs and images: about a quarter of an hour.
            detached: Whether it all stays up when this process ends.
            name: Of a detached one, for `attach`.
        """
        image, array_image = build(images, say)
        steps = Say(say)
        run = Run.detached(array_image, name) if detached else Run(array_image)
        try:
            places = [Node(number) for number in range(1, nodes + 1)]
            with steps.step("starting the control plane, and the VMs from their saved states"):
                cluster = cls._assemble(run, image, places)
            with steps.step("starting kubelet on the nodes"):
                cluster._join(places)
                run.write_record()
                cluster._await_nodes()
        except BaseException:
            run.down() if detached else run.close()
            raise
        return cluster

    @classmethod
    def attach(cls, name: str = NAME) -> Self | None:
        """Return the cluster that was left up, if there is one."""
        run = Run.attach(name)
        if run is None:
            return None
        plane = ControlPlane.attach(run.directory / _PLANE, run)
        nodes = {name: machine for name, machine in run.machines.items() if name != "array"}
        return cls(run, plane, Site(run), nodes)

    @classmethod
    def _assemble(cls, run: Run, image: Image, places: Sequence[Node]) -> Self:
        """Start what needs nothing of the rest, all at once."""

        def control_plane() -> ControlPlane:
            plane = ControlPlane(run.directory / _PLANE, run, [place.name for place in places])
            plane.start_etcd()
            plane.start_api()
            plane.start_controllers()
            return plane

        def machine(place: Node) -> Machine:
            return run.start(place.name, address=[place.address], image=image)

        with ThreadPoolExecutor() as pool:
            plane = pool.submit(control_plane)
            array = pool.submit(Site.of_array, run)
            machines = {place.name: pool.submit(machine, place) for place in places}
            nodes = {name: future.result() for name, future in machines.items()}
            return cls(run, plane.result(), array.result(), nodes)

    def _join(self, places: list[Node]) -> None:
        def one(place: Node) -> None:
            others = [other for other in places if other != place]
            join(self.nodes[place.name], place, others, self.plane, self.run.directory / place.name)

        with ThreadPoolExecutor() as pool:
            list(pool.map(one, places))

    def _await_nodes(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        with self.api() as api:
            while not self._are_ready(api):
                if time.monotonic() > deadline:
                    raise LabError(f"the nodes do not get ready:\n{self._excuses()}")
                time.sleep(0.05)

    def _are_ready(self, api: Api) -> bool:
        """Whether all nodes are ready for pods, which need their namespace's service account."""
        ready = {node["metadata"]["name"] for node in api.list("Node") if _is_ready(node)}
        return ready >= self.nodes.keys() and api.find("ServiceAccount", "default", "default") is not None

    def _excuses(self) -> str:
        logs = [
            machine.run("journalctl -u kubelet -u cluster-network --no-pager -n 15", check=False).stdout
            for machine in self.nodes.values()
        ]
        return "\n".join(logs)

    @property
    def kubeconfig(self) -> Path:
        """Of somebody who may do everything."""
        return self.plane.admin

    def api(self, kubeconfig: Path | None = None) -> Api:
        """Return a client, the admin's if no other kubeconfig is given; close it, or use it as a context manager."""
        return self.plane.api(kubeconfig or self.kubeconfig)

    def kubectl(
        self,
        *arguments: str,
        input: str | None = None,  # noqa: A002, as subprocess.run calls it
        check: bool = True,
        timeout: float = _TOOL_SECONDS,
    ) -> str:
        """Run kubectl as the admin and return what it prints.

        Raises:
            LabError: It failed, unless `check` is off; then its complaint is part of what is returned.
            subprocess.TimeoutExpired: It did not end in that many seconds.
        """
        return self._run(programs.KUBECTL, arguments, input, check, timeout)

    def helm(self, *arguments: str, check: bool = True, timeout: float = _TOOL_SECONDS) -> str:
        """Run helm as the admin, without anything of the user's own, and return what it prints; as `kubectl`."""
        return self._run(programs.HELM, arguments, None, check, timeout)

    def _run(
        self,
        program: programs.Program,
        arguments: Sequence[str],
        input: str | None,  # noqa: A002, as above
        check: bool,
        timeout: float,
    ) -> str:
        home = self.run.directory / "home"
        ran = subprocess.run(
            [str(programs.built(program)), *arguments],
            env={"PATH": os.defpath, "HOME": str(home), "KUBECONFIG": str(self.kubeconfig)},
            input=input,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        if check and ran.returncode:
            raise LabError(f"{program.name} {' '.join(arguments)}: {ran.stderr.strip()}")
        return ran.stdout if check else ran.stdout + ran.stderr

    def import_image(self, archive: Path) -> None:
        """Give all nodes the images of an archive, as `docker save`, buildah or `image_archive` writes one.

        `start` is quicker at it from the second time on.
        """
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda machine: node_image.add(machine.agent, archive), self.nodes.values()))

    def close(self) -> None:
        """End everything, unless it was to stay up."""
        self.array.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def build(images: Sequence[Path], say: Callable[[str], None]) -> tuple[Image, Image]:
    """Build what a cluster is started from, unless the cache has it; return the nodes' image and the array's."""
    for program in _PROGRAMS:
        programs.built(program, say)
    return node_image.ensure(say, images), site.ensure_image(say)


def _is_ready(node: Object) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
