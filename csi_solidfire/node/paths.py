"""Paths from outside: only what lies in kubelet's directory, and is what it says, is touched."""

from __future__ import annotations

from pathlib import Path

from csi_solidfire import errors
from csi_solidfire.handles import shorten
from csi_solidfire.node.host import Host, Kind

_NAME_MAX = 255
_PATH_MAX = 4095


def checked(host: Host, kubelet_dir: Path, field: str, text: str) -> Path:
    """Return the real path that a request names: as the kernel's list of mounts spells it.

    Links inside of kubelet's directory are followed, it may be one itself; the last part must not be one, for what
    is mounted or removed there would be something else than was named.

    Args:
        field: Whose value it is, for the message.

    Raises:
        errors.InvalidRequest: It is not absolute, has `..`, leads outside of kubelet's directory or is a link.
    """
    path = _parsed(field, text)
    root = host.resolve(kubelet_dir)
    real = host.resolve(path.parent) / path.name
    if not (path.is_relative_to(kubelet_dir) or path.is_relative_to(root)) or root not in real.parents:
        raise errors.InvalidRequest(f"{field} {shorten(text)} is not below kubelet's directory {kubelet_dir}")
    return real


def refuse_link(host: Host, field: str, path: Path) -> None:
    """Refuse a path that is a symbolic link. Not for a mount point: asking a dead disk about its root can hang."""
    if host.kind(path) is Kind.SYMLINK:
        raise errors.InvalidRequest(f"{field} {shorten(str(path))} is a symbolic link")


def _parsed(field: str, text: str) -> Path:
    if not text.startswith("/") or "\0" in text:
        raise errors.InvalidRequest(f"{field} {shorten(text)} is not an absolute path")
    path = Path(text)
    if ".." in path.parts:
        raise errors.InvalidRequest(f"{field} {shorten(text)} has a `..` in it")
    if len(text.encode()) > _PATH_MAX or any(len(part.encode()) > _NAME_MAX for part in path.parts):
        raise errors.InvalidRequest(f"{field} {shorten(text)} is longer than Linux allows")
    return path
