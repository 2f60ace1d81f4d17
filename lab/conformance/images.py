"""The images that pods of the suite run, made here: there is no registry.

What the suite calls busybox and nginx is Debian's static busybox, which has all that the specs start in them; where
they need a `dd` that writes around the page cache, Debian's own is in its place, and its shell too, since busybox's
takes its own `dd` whatever else there is. agnhost is built from its source.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab import programs
from lab.kube import image_archive
from lab.vm import LabError, packages
from lab.vm.build import apt_network_options, sources
from lab.vm.image import cache
from lab.vm.progress import Say

_REPOSITORY: Final = "registry.k8s.io/e2e-test-images"
_BOX: Final = (f"{_REPOSITORY}/busybox:1.37.0-2", f"{_REPOSITORY}/nginx:1.27.0-2")
_WITH_DD: Final = (f"{_REPOSITORY}/glibc-dns-testing:2.1.1",)
_AGNHOST: Final = (f"{_REPOSITORY}/agnhost:2.66.1",)
NAMES: Final = (*_BOX, *_WITH_DD, *_AGNHOST)
"""As the suite asks for them."""

_OF_DEBIAN: Final = ("bin/dash", "bin/dd", "lib/x86_64-linux-gnu/libc.so.6", "lib64/ld-linux-x86-64.so.2")
_TIMEOUT: Final = 600.0  # seconds


@dataclass(frozen=True)
class _Image:
    names: tuple[str, ...]
    root: Path
    entrypoint: str


def archive(say: Callable[[str], object] = lambda _: None) -> Path:
    """Return an archive of all of them, building it if the cache does not have it; its name says what is in it."""
    agnhost = programs.built(programs.AGNHOST, say)
    path = cache() / "conformance" / f"storage-suite-{_key(agnhost)}.tar"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with Say(say).step("making the images of the storage suite"), tempfile.TemporaryDirectory() as work:
            _build(path, Path(work), agnhost)
    return path


def _key(agnhost: Path) -> str:
    parts = (*NAMES, *_OF_DEBIAN, agnhost.name, packages.SUITE, Path(__file__).read_text())
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _build(path: Path, work: Path, agnhost: Path) -> None:
    debian = work / "debian"
    _extract(debian, "busybox-static", "coreutils", "dash")
    box = _box(debian, work / "box")
    with_dd = shutil.copytree(box, work / "with-dd", symlinks=True)
    for name in _OF_DEBIAN:
        (with_dd / name).parent.mkdir(parents=True, exist_ok=True)
        (with_dd / name).unlink(missing_ok=True)
        shutil.copy(debian / name, with_dd / name)
    (with_dd / "bin/sh").unlink()
    (with_dd / "bin/sh").symlink_to("dash")
    with_agnhost = shutil.copytree(box, work / "with-agnhost", symlinks=True)
    shutil.copy(agnhost, with_agnhost / "agnhost")
    images = [
        _Image(_BOX, box, "/bin/sh"),
        _Image(_WITH_DD, with_dd, "/bin/sh"),
        _Image(_AGNHOST, with_agnhost, "/agnhost"),
    ]
    unfinished = path.with_suffix(".part")
    write(unfinished, images)
    unfinished.replace(path)


def _extract(root: Path, *wanted: str) -> None:
    """Unpack Debian packages and what they need; needs no root, for nothing of them is run."""
    network = [f"--aptopt={option}" for option in apt_network_options()]
    command = ["mmdebstrap", "--mode=chrootless", "--variant=extract", "--format=directory"]
    command += [f"--include={','.join(wanted)}", *network, packages.SUITE, str(root), *sources()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    if done.returncode:
        raise LabError(f"Debian's {' and '.join(wanted)} could not be fetched: {done.stderr.strip()[-1500:]}")


def _box(debian: Path, root: Path) -> Path:
    for name in ("bin", "etc", "root", "tmp", "var"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    shutil.copy(debian / "bin/busybox", root / "bin/busybox")
    listed = subprocess.run([root / "bin/busybox", "--list"], capture_output=True, text=True, timeout=60, check=True)
    for applet in set(listed.stdout.split()) - {"busybox"}:
        (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    return root


def write(path: Path, images: Iterable[_Image]) -> None:
    """Write one archive of several images, each under several names."""
    manifest = []
    with tarfile.open(path, "w") as written:
        for image in images:
            single = io.BytesIO()
            image_archive.write(single, image.names[0], image.root, [image.entrypoint])
            single.seek(0)
            with tarfile.open(fileobj=single) as read:
                for entry in read:
                    data = read.extractfile(entry)
                    if entry.name != "manifest.json":
                        written.addfile(entry, data)
                    elif data is not None:
                        manifest += [described | {"RepoTags": list(image.names)} for described in json.load(data)]
        text = json.dumps(manifest).encode()
        described = tarfile.TarInfo("manifest.json")
        described.size = len(text)
        written.addfile(described, io.BytesIO(text))
