"""A cluster's Secret: read as one piece from where kubelet mounts it, and checked key by key.

No message shows a value: what was typed into the wrong key may be the password.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from csi_solidfire import errors
from csi_solidfire.element import tls
from csi_solidfire.element.transport import Credentials

_REQUIRED = ("endpoint", "username", "password")
_OPTIONAL = ("caCert", "svip")
_LONGEST = 1024  # characters of a cluster admin's name: docs of AddClusterAdmin
_READS = 8  # kubelet swaps a Secret once a minute at the most, so a second read finds it at rest.

_SCHEME = re.compile(r"\A[A-Za-z0-9+.-]*://")
_ADDRESS = re.compile(r"(?P<host>\[[^\]]*\]?|[^:]*)(?P<colon>:(?P<port>.*))?", re.DOTALL)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_LABEL = "[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?", re.ASCII)


def read(directory: Path) -> dict[str, str]:
    """Read the files of one mounted Secret, all of them of the same version of it.

    kubelet writes each version into a directory of its own and then swings the link `..data` over to it, in the
    Secret's directory or, where several Secrets are projected into one volume, above it. Read key by key through the
    links, the old user name could come with the new password. Plain files have no such order: whoever writes
    them has to put a whole directory in place at once.

    Bytes that are not UTF-8 come as surrogates, which `check` refuses.

    Raises:
        errors.Unavailable: It cannot be read now.
    """
    for _ in range(_READS):
        version = _version(directory)
        try:
            values = _files(version)
        except OSError as error:
            if version == _version(directory):
                raise errors.Unavailable(
                    f"cluster {directory.name}: its Secret cannot be read ({error.strerror})"
                ) from error
        else:
            if version == _version(directory):
                return values
    raise errors.Unavailable(f"cluster {directory.name}: its Secret is being changed all the time")


def _version(directory: Path) -> Path:
    """Return the directory, free of links, that holds the present version of a Secret."""
    data = directory / "..data"
    return Path(os.path.realpath(data if data.is_symlink() else directory))


def _files(directory: Path) -> dict[str, str]:
    """Return the values of the keys that mean something, and the names of the others with nothing."""
    names = [entry.name for entry in directory.iterdir() if not entry.name.startswith(".")]
    known = (*_REQUIRED, *_OPTIONAL)
    return {
        name: (directory / name).read_bytes().decode("utf-8", "surrogateescape") if name in known else ""
        for name in names
    }


def check(values: Mapping[str, str], where: str, *, verify_tls: bool) -> tuple[Credentials, str]:
    """Return a Secret's credentials and the storage address it names, if any.

    Args:
        where: What a message calls the Secret.

    Raises:
        errors.InvalidRequest: With every problem of every key, and no value.
    """
    problems = [f"{key} {problem}" for key in _CHECKS for problem in _problems(key, values.get(key, ""))]
    problems += [f"{key} must be spelt in just these capitals" for key in _misspelt(values)]
    if problems:
        raise errors.InvalidRequest(f"{where}: {'; '.join(problems)}")
    credentials = Credentials(
        values["endpoint"].rstrip("/"),
        values["username"],
        values["password"],
        values.get("caCert", ""),
        verify_tls=verify_tls,
    )
    return credentials, values.get("svip", "")


def _misspelt(values: Mapping[str, str]) -> list[str]:
    """Return the keys that are there in other capitals only; elsewhere unknown keys mean nothing."""
    others = {key.lower() for key in values if key not in _CHECKS}
    return [key for key in _CHECKS if key.lower() in others and not values.get(key)]


def _problems(key: str, value: str) -> Iterator[str]:
    if not value:
        if key in _REQUIRED:
            yield "is missing or empty"
        return
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        yield "is not text in UTF-8"
        return
    if key != "caCert" and value != value.strip():
        yield _white_space(value)
        value = value.strip()
    if value or key == "caCert":
        yield from _CHECKS[key](value)


def _white_space(value: str) -> str:
    if not value.strip():
        return "is nothing but white space"
    if value.rstrip("\r\n") != value:
        return "ends with a newline, as `echo` adds one: use `echo -n`, or kubectl's --from-literal"
    return "begins or ends with white space"


def _endpoint(text: str) -> Iterator[str]:
    if tls.decoded(text).startswith("http"):
        yield f"is {tls.ENCODED_TWICE}"
        return
    rest = _SCHEME.sub("", text)
    if not text.startswith("https://"):
        why = ", or the password would cross the network unencrypted" if text.lower().startswith("http:") else ""
        yield f"must begin with https://{why}"
    if "@" in rest:
        yield "must not hold a user name or password (anything before an @): there are keys for them"
        rest = rest.rpartition("@")[2]
    address = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    if rest.removeprefix(address) not in ("", "/"):
        yield "must not have a path: it ends after address and port"
    yield from _address(address)


def _address(text: str) -> Iterator[str]:
    """Check `<host>[:<port>]`."""
    if _is_ipv6(text) or _is_ipv6(text.rpartition(":")[0]):
        yield "must have its IPv6 address in brackets: https://[<address>] or https://[<address>]:<port>"
        return
    parts = _ADDRESS.fullmatch(text)
    host = parts["host"] if parts else text
    if host.startswith("["):
        if not (host.endswith("]") and _is_ipv6(host[1:-1])):
            yield "must have an IPv6 address, without a zone, between its brackets"
    elif problem := _host(host):
        yield problem
    if parts and parts["colon"] and not (_PORT.fullmatch(parts["port"]) and 0 < int(parts["port"]) < 1 << 16):
        yield "must have a number from 1 to 65535 as its port, or none for 443"


def _host(text: str) -> str:
    """Say why a text is no IPv4 address and no host name; empty if it is one."""
    if not text.isascii():
        return "has characters outside ASCII: write an international name in its xn-- form"
    if text and not text.strip("0123456789."):
        return "" if _is_ipv4(text) else "must have four numbers from 0 to 255 in an IPv4 address"
    return "" if len(text) < 254 and _NAME.fullmatch(text) else "must have an IP address or a host name in it"


def _svip(text: str) -> Iterator[str]:
    if not _is_ipv6(text) and (problem := _host(text)):
        yield f"{problem}, alone: without https://, port or brackets"


def _username(text: str) -> Iterator[str]:
    if ":" in text:
        yield "must not have a colon, at which HTTP's basic authentication would cut it off"
    yield from _password(text)


def _password(text: str) -> Iterator[str]:
    if not text.isprintable():
        yield "has a character that cannot be seen, such as a line break, a tab or a byte order mark"
    if len(text) > _LONGEST:
        yield f"must not have more than {_LONGEST} characters"


def _ca_cert(text: str) -> Iterator[str]:
    if problem := tls.problem(text):
        yield problem


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    try:
        return ipaddress.IPv6Address(text).scope_id is None
    except ValueError:
        return False


_CHECKS: dict[str, Callable[[str], Iterator[str]]] = {
    "endpoint": _endpoint,
    "username": _username,
    "password": _password,
    "caCert": _ca_cert,
    "svip": _svip,
}
