"""The driver's container image, built from the Dockerfile as its users build it, and kept in the lab's cache.

There is no registry here: the Debian that the image starts from is made with mmdebstrap, and the wheels are fetched
before, by this machine's pip. Buildah keeps the steps that did not change, so a changed driver costs half a minute.

    python -m lab.driver_image          # build, or find in the cache; prints the archive's path
    python -m lab.driver_image clean
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lab.vm import LabError, packages
from lab.vm.build import WHEELS, MayUseSudo, apt_network_options, as_root, ask, sources
from lab.vm.image import cache
from lab.vm.progress import Say

NAME: Final = "localhost/csi-solidfire:lab"
"""What the archive calls the image; containerd knows it by this."""

PACKAGES: Final = ("buildah",)
"""Debian packages needed beside those for VMs."""

_ROOT: Final = Path(__file__).parent.parent
_PIP_TIMEOUT: Final = 900.0  # seconds
_IDLE: Final = 6 * 3600.0  # seconds since an archive was last asked for, until the next build throws it away
_GENERATED: Final = re.compile(r"__pycache__|_cache/|_pb2")  # as in .dockerignore
_LEFT_OUT: Final = ("doc", "info", "locale", "man")
# Killed half way, it leaves nothing mounted below a directory that is about to be removed.
_ALONE: Final = ("setpriv", "--pdeathsig", "KILL", "--", "unshare", "--mount")
# What a registry's debian:…-slim is: usr-is-merged stands in for usrmerge, which would bring all of perl.
_BASE: Final = (
    *("mmdebstrap", "--mode=root", "--variant=minbase", "--include=usr-is-merged"),
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    *(f"--dpkgopt=path-exclude=/usr/share/{what}/*" for what in _LEFT_OUT),
)


def driver_image(say: Callable[[str], object] = lambda _: None, may_use_sudo: MayUseSudo = ask) -> Path:
    """Return an archive that `ctr images import` and `docker load` take, building it if the cache does not have it.

    Args:
        say: Told each step; the first build takes some minutes, one after a change of the driver half a minute.
        may_use_sudo: Asked with the command line before sudo runs it. Not asked if root is who runs this.

    Raises:
        LabError: The build failed, or needs root and may not have it.
    """
    archive = _directory() / f"csi-solidfire-{key()}.tar"
    if archive.exists():
        archive.touch()
        return archive
    if shutil.which("buildah") is None:
        raise LabError(f"missing here: buildah. On Debian or Ubuntu: apt-get install {' '.join(PACKAGES)}")
    with _only_builder(), tempfile.TemporaryDirectory(dir=_directory(), ignore_cleanup_errors=True) as work:
        if not archive.exists():
            _build(archive, Path(work), Say(say), may_use_sudo)
    return archive


def inputs() -> list[Path]:
    """Return the files that the image is made from: the Dockerfile and what `.dockerignore` lets it see."""
    rules = (_ROOT / ".dockerignore").read_text().splitlines()
    seen = [_ROOT / rule[1:] for rule in rules if rule.startswith("!")]
    files = [file for top in seen for file in (top.rglob("*") if top.is_dir() else [top]) if file.is_file()]
    return [
        _ROOT / "Dockerfile",
        *sorted(file for file in files if not _GENERATED.search(str(file.relative_to(_ROOT)))),
    ]


def key() -> str:
    """What identifies an image: all that it is made from."""
    parts = [*_BASE, packages.SUITE, NAME]
    parts += [f"{file.relative_to(_ROOT)}\0{file.read_text('utf-8')}" for file in inputs()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def clean(may_use_sudo: MayUseSudo = ask) -> None:
    """Throw away the archives and what buildah keeps."""
    if _directory().exists():
        as_root(["rm", "-rf", "--one-file-system", str(_directory())], Path("/dev/null"), may_use_sudo)


def _build(archive: Path, work: Path, say: Say, may_use_sudo: MayUseSudo) -> None:
    def run(command: list[str], log: str) -> None:
        as_root([*_ALONE, *command], _directory() / f"{log}.log", may_use_sudo)

    buildah = ["buildah", "--root", str(_directory() / "store"), "--runroot", str(work / "run")]
    base = f"localhost/debian:{packages.SUITE}-{_hash(_BASE)}"
    made = _directory() / f"base-{_hash(_BASE)}"  # the store is root's, and only root could ask buildah
    if not made.exists():
        with say.step(f"making the Debian {packages.SUITE} that the driver's image starts from"):
            _make_base(base, work, buildah, run)
        made.touch()
    with say.step("fetching the driver's Python packages"):
        _fetch_wheels(work / "wheels")
    with say.step("building the driver's image"):
        options = ["--isolation=chroot", "--layers", "--pull-never", "--timestamp=0", f"--tag={NAME}"]
        options += [f"--build-arg=BASE={base}", f"--build-context=wheels={work / 'wheels'}"]
        run(["--", *buildah, "bud", *options, "--build-arg=PIP_NO_INDEX=1", str(_ROOT)], "build")
        unfinished = work / "archive"
        run(["--", *buildah, "push", "--quiet", NAME, f"docker-archive:{unfinished}:{NAME}"], "push")
    unfinished.replace(archive)
    for old in _directory().glob("csi-solidfire-*.tar"):
        if time.time() - old.stat().st_mtime > _IDLE:  # a younger one may be in the hands of a cluster that starts
            old.unlink()


def _make_base(name: str, work: Path, buildah: list[str], run: Callable[[list[str], str], None]) -> None:
    (work / "base").mkdir()
    tree = work / "base/root.tar"
    network = [f"--aptopt={option}" for option in apt_network_options()]
    alone = ["--pid", "--fork", "--kill-child", "--", "env", f"TMPDIR={work}"]
    run([*alone, *_BASE, *network, packages.SUITE, str(tree), *sources()], "debian")
    (work / "base/Dockerfile").write_text('FROM scratch\nADD root.tar /\nCMD ["bash"]\n')
    run(["--", *buildah, "bud", "--timestamp=0", f"--tag={name}", str(work / "base")], "base")


def _fetch_wheels(target: Path) -> None:
    for file in ("run", "build"):
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps", "--require-hashes"),
            *("--only-binary=:all:", "--implementation=cp", f"--python-version={packages.PYTHON}"),
            *(f"--platform={wheels}" for wheels in WHEELS),
            *("--dest", str(target), "--requirement", str(_ROOT / f"deploy/image/{file}.txt")),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_TIMEOUT, check=False)
        if done.returncode:
            raise LabError(f"pip could not fetch the image's Python packages: {done.stderr.strip()[-1500:]}")


def _directory() -> Path:
    return cache() / "driver-image"


@contextmanager
def _only_builder() -> Iterator[None]:
    _directory().mkdir(parents=True, exist_ok=True)
    with (cache() / "driver-image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Tests run side by side.
        yield


def _hash(parts: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def main() -> int:
    try:
        if sys.argv[1:] == ["clean"]:
            clean()
        else:
            print(driver_image(lambda text: print(text, file=sys.stderr, flush=True)))
    except LabError as error:
        print(f"The driver's image could not be built: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
