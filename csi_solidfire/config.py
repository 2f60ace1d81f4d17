"""What an operator can set, read from flags and from the environment, and from nowhere else.

Each field of the dataclasses below is one flag: `clusters_dir` is `--clusters-dir`, and in the environment
`CSI_SOLIDFIRE_CLUSTERS_DIR`. A flag wins over its twin. Credentials are no setting: a command line is
readable by every user of the machine and the environment by whoever can describe the pod, so they come from
mounted files or with the request.
"""

# ruff: noqa: RUF009 - the calls below return dataclass fields
from __future__ import annotations

import argparse
import os
import re
import shlex
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeVar

PROGRAM = "csi-solidfire"

T = TypeVar("T", int, float)

_SUN_PATH = 107  # bytes a Unix socket's path can have on Linux
_LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_DNS_NAME = rf"{_LABEL}(\.{_LABEL})*"
_MISSING = "\0"  # stands for the value of a flag given without one; no argument can hold it


class ConfigError(Exception):
    """The settings cannot be used.

    Attributes:
        problems: All of them, a sentence each.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class Address(NamedTuple):
    """A TCP address to listen on; an empty host is every interface."""

    host: str
    port: int


@dataclass(frozen=True)
class Flag:
    """How a setting is written.

    Attributes:
        parse: Makes the value of the text; raises ValueError if the text is not allowed.
        allowed: What is, for the help and the complaint.
        help: What it does.
        default: Text as an operator would write it; None if the flag must be given.
        switch: Whether it is given without a value.
    """

    parse: Callable[[str], object]
    allowed: str
    help: str
    default: str | None = None
    switch: bool = False


def _flag(kind: tuple[Callable[[str], object], str], text: str, default: str | None = None) -> Any:
    return field(metadata={"flag": Flag(*kind, text, default)})


def _switch(text: str) -> Any:
    return field(
        metadata={"flag": Flag({"true": True, "false": False}.__getitem__, "true or false", text, "false", switch=True)}
    )


def _endpoint(text: str) -> str:
    scheme, _, rest = text.partition("://")
    if scheme == "tcp":
        host, port = _address(rest)
        if host and port:
            return text
    elif scheme == "unix" and rest.startswith("/") and len(os.fsencode(rest)) <= _SUN_PATH and not rest.endswith("/"):
        return text
    raise ValueError(text)


def _address(text: str) -> Address:
    match = re.fullmatch(r"(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]*):(?P<port>[0-9]{1,5})", text, re.ASCII)
    if match is None or int(match["port"]) > 0xFFFF:
        raise ValueError(text)
    return Address(match["host"].strip("[]"), int(match["port"]))


def _optional_address(text: str) -> Address | None:
    return None if text in {"", "off"} else _address(text)


def _name(pattern: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if len(text) > 63 or not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(text)
        return text

    return parse


def _path(text: str) -> Path:
    if not text.startswith("/"):
        raise ValueError(text)
    return Path(text)


def _optional_path(text: str) -> Path | None:
    return None if text == "" else _path(text)


def _whole(low: int, high: int) -> tuple[Callable[[str], int], str]:
    return _between(int, "[0-9]{1,9}", low, high), f"a whole number from {low} to {high}"


def _seconds(low: int, high: int) -> tuple[Callable[[str], float], str]:
    return _between(float, r"[0-9]{1,9}(\.[0-9]{1,9})?", low, high), f"seconds from {low} to {high}"


def _between(kind: type[T], pattern: str, low: int, high: int) -> Callable[[str], T]:
    def parse(text: str) -> T:
        if not re.fullmatch(pattern, text, re.ASCII) or not low <= kind(text) <= high:
            raise ValueError(text)
        return kind(text)

    return parse


def _one_of(*values: str) -> tuple[Callable[[str], str], str]:
    return {value: value for value in values}.__getitem__, ", ".join(values[:-1]) + f" or {values[-1]}"


_ENDPOINT = (_endpoint, f"unix:///absolute/path (up to {_SUN_PATH} bytes) or tcp://host:port")
# csi-sanity wants a letter at both ends; the topology key begins with the name, which makes it lower case.
_NAME = (_name(rf"(?=[a-z].*[a-z]$){_DNS_NAME}"), "a lowercase domain name, 2 to 63 long, a letter at both ends")
# It is a topology value, too, and those are label values in Kubernetes: 63 characters.
_HOSTNAME = (_name(_DNS_NAME), "a node's name as Kubernetes spells it: lowercase, up to 63 characters")
_NAMESPACE = (_name(_LABEL), "a namespace's name: lowercase letters, digits and -, up to 63")
_METRICS = (_optional_address, "[host]:port, or off")
_DIRECTORY = (_path, "an absolute path")
_OPTIONAL_DIRECTORY = (_optional_path, "an absolute path, or empty")
_COMMAND = (lambda text: tuple(shlex.split(text)), "words as a shell would split them")


@dataclass(frozen=True, kw_only=True)
class Common:
    """Settings of every mode that serves."""

    TITLE: ClassVar[str] = "every mode"
    MODE: ClassVar[str]
    SUMMARY: ClassVar[str]

    endpoint: str = _flag(
        _ENDPOINT, "Where to answer CSI calls. TCP has no authentication: for development only.", "unix:///csi/csi.sock"
    )
    driver_name: str = _flag(
        _NAME, "The driver's name, a StorageClass's provisioner and the CSIDriver object's name.", "csi-solidfire.io"
    )
    hostname: str = _flag(
        _HOSTNAME,
        "The Kubernetes node this process runs on (spec.nodeName in the downward API). The node service reports it; "
        "the controller begins account names with it when a volume comes without topology.",
    )
    metrics_address: Address | None = _flag(
        _METRICS, "Where to serve /metrics, /healthz and /livez over HTTP.", ":9808"
    )
    log_level: str = _flag(
        _one_of("debug", "info", "warning", "error"),
        "The least important lines to log. debug shows each request, without its secrets.",
        "info",
    )
    log_format: str = _flag(_one_of("text", "json"), "text for people, json for collectors.", "text")
    threads: int = _flag(_whole(1, 1024), "CSI calls served at the same time; further ones wait.", "32")
    shutdown_grace: float = _flag(
        _seconds(0, 3600),
        "How long calls in flight may go on after SIGTERM. Keep it below the pod's terminationGracePeriodSeconds.",
        "30",
    )


@dataclass(frozen=True, kw_only=True)
class Controller(Common):
    """Settings of the controller service, once in a Kubernetes cluster."""

    TITLE = "controller"
    MODE = "controller"
    SUMMARY = "Manage volumes on the array: once in a Kubernetes cluster, beside the sidecars."

    clusters_dir: Path | None = _flag(
        _OPTIONAL_DIRECTORY,
        "Directory with a sub-directory for each SolidFire cluster, each a mounted Secret with the files endpoint, "
        "username, password and, if needed, caCert and svip. Empty: credentials come with each request.",
        "",
    )
    default_namespace: str = _flag(
        _NAMESPACE, "Namespace in the account names of volumes that come without a PersistentVolumeClaim.", "default"
    )
    chap_in_publish_context: bool = _switch(
        "Hand CHAP passwords to the nodes in the publish context, which Kubernetes keeps in clear text in "
        "VolumeAttachment objects: whoever may read those can read every attached volume's password. For testing "
        "and for orchestrators without Secrets."
    )
    insecure_skip_tls_verify: bool = _switch(
        "Do not check the array's certificate: anybody on the way can then read the admin password. Put the array's CA "
        "into caCert instead."
    )
    array_calls: int = _flag(_whole(1, 1000), "Requests to one cluster at the same time; further ones wait.", "32")
    sweep_interval: float = _flag(_seconds(1, 86400), "Pause between two searches for empty accounts to remove.", "600")


@dataclass(frozen=True, kw_only=True)
class Node(Common):
    """Settings of the node service, on every Kubernetes node."""

    TITLE = "node"
    MODE = "node"
    SUMMARY = "Log in to volumes, make filesystems and mount them: on every Kubernetes node."

    max_volumes: int = _flag(_whole(1, 65535), "Volumes that the scheduler may put on this node.", "256")
    kubelet_dir: Path = _flag(_DIRECTORY, "kubelet's --root-dir; nothing is mounted outside of it.", "/var/lib/kubelet")
    host_command_prefix: tuple[str, ...] = _flag(
        _COMMAND,
        "Words put before iscsiadm and multipath to run the host's own, for example "
        "'nsenter --target 1 --mount --net --'. Empty when the driver runs directly on the host.",
        "",
    )
    host_root: Path = _flag(_DIRECTORY, "Where the host's root directory is seen from here.", "/")
    iscsi_db: Path | None = _flag(
        _OPTIONAL_DIRECTORY,
        "open-iscsi's database on the host. Empty: the one that exists of /etc/iscsi and /var/lib/iscsi.",
        "",
    )
    initiator_name_file: Path = _flag(
        _DIRECTORY, "File on the host with the iSCSI initiator's name.", "/etc/iscsi/initiatorname.iscsi"
    )
    replacement_timeout: int = _flag(
        _whole(1, 86400), "Seconds a lost iSCSI session has to come back before the filesystem sees errors.", "120"
    )


@dataclass(frozen=True, kw_only=True)
class All(Controller, Node):
    """Settings of both services in one process."""

    MODE = "all"
    SUMMARY = "Both services in one process: development, csi-sanity."


@dataclass(frozen=True)
class Version:
    """Print what this is."""


@dataclass(frozen=True)
class Help:
    """Print a text."""

    text: str


Settings = Controller | Node | All
_MODES: dict[str, type[Settings]] = {kind.MODE: kind for kind in (Controller, Node, All)}


def load(argv: Sequence[str], env: Mapping[str, str] = os.environ) -> Settings | Version | Help:
    """Read the settings.

    Args:
        argv: The command line after the program's name.
        env: The environment.

    Raises:
        ConfigError: Something is missing, unknown or not allowed; it holds every such problem.
    """
    mode = argv[0] if argv else ""
    if mode in {"-h", "--help", "help"}:
        return Help(_overview())
    if mode in {"version", "--version"}:
        if argv[1:]:
            raise ConfigError(["version takes nothing more"])
        return Version()
    if mode not in _MODES:
        raise ConfigError([f"the first word must say what to run: {', '.join(_MODES)} or version"])
    kind = _MODES[mode]
    parser = _parser(kind)
    given, unknown = parser.parse_known_args(argv[1:])
    if given.help:
        # To complain of a missing value with everything else, argparse is told that values are optional.
        return Help(re.sub(r"\[([A-Z]+)\]$", r"\1", parser.format_help(), flags=re.MULTILINE))
    problems = list(dict.fromkeys(_unknown(word, mode) for word in unknown))
    values: dict[str, Any] = {}
    for item in fields(kind):
        try:
            values[item.name] = _value(item, getattr(given, item.name), env)
        except ValueError as problem:
            problems.append(str(problem))
    if problems:
        raise ConfigError(problems)
    return kind(**values)


def flag_name(item: Field[Any]) -> str:
    """Return `--clusters-dir` for the field `clusters_dir`."""
    return "--" + item.name.replace("_", "-")


def twin(item: Field[Any]) -> str:
    """Return the environment variable that says the same as a field's flag."""
    # The specification's own name: what starts a plug-in may set it.
    return "CSI_ENDPOINT" if item.name == "endpoint" else "CSI_SOLIDFIRE_" + item.name.upper()


def _value(item: Field[Any], given: str | None, env: Mapping[str, str]) -> object:
    flag: Flag = item.metadata["flag"]
    text = env.get(twin(item), flag.default) if given is None else given
    name = f"{flag_name(item)} (environment: {twin(item)})"
    if text is None:
        raise ValueError(f"{name} is required: {flag.allowed}")
    if text == _MISSING:
        raise ValueError(f"{name} needs a value: {flag.allowed}")
    try:
        return flag.parse(text)
    except (ValueError, KeyError):
        raise ValueError(f"{name} is {_quote(text)}, must be {flag.allowed}") from None


def _quote(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:80] + "…")


def _unknown(word: str, mode: str) -> str:
    """Complain of a word without repeating what may be a password."""
    if not word.startswith("-"):
        return f"a word that belongs to no flag; {mode} takes flags only"
    return f"{_quote(word.partition('=')[0])} is no flag of {mode}"


def _groups(kind: type[Settings]) -> Iterator[tuple[str, list[Field[Any]]]]:
    """Return the settings of a mode by the class that introduced them."""
    for owner in (Common, Controller, Node):
        if issubclass(kind, owner):
            yield owner.TITLE, [item for item in fields(owner) if item.name in owner.__annotations__]


class _Formatter(argparse.HelpFormatter):
    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)  # names and paths stay whole


def _parser(kind: type[Settings]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} {kind.MODE}",
        usage=f"{PROGRAM} {kind.MODE} [flags]",
        description=kind.SUMMARY,
        epilog="A flag wins over its environment variable. Credentials are neither: they come from mounted files or "
        "with requests.",
        formatter_class=lambda prog: _Formatter(prog, max_help_position=6, width=100),
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="store_true", help="Show this.")
    for title, items in _groups(kind):
        group = parser.add_argument_group(title)
        for item in items:
            _add(group, item)
    return parser


def _add(group: argparse._ArgumentGroup, item: Field[Any]) -> None:
    flag: Flag = item.metadata["flag"]
    default = "required" if flag.default is None else f"default: {flag.default or 'empty'}"
    text = f"{flag.help} [{flag.allowed}; {default}; environment: {twin(item)}]".replace("%", "%%")
    group.add_argument(
        flag_name(item),
        dest=item.name,
        nargs="?",
        const="true" if flag.switch else _MISSING,
        metavar="true|false" if flag.switch else item.name.rpartition("_")[2].upper(),
        help=text,
    )


def _overview() -> str:
    modes = "".join(f"  {name:12}{kind.SUMMARY}\n" for name, kind in _MODES.items())
    return (
        f"usage: {PROGRAM} {{{','.join(_MODES)},version}} [flags]\n\n"
        "Kubernetes CSI driver for NetApp SolidFire (Element) storage over iSCSI.\n\n"
        f"{modes}  version     Print the versions of the driver and of what it is built on.\n\n"
        f"`{PROGRAM} <mode> --help` explains the flags of a mode.\n"
    )
