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
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

from csi_solidfire.flags import (
    COMMAND,
    DIRECTORY,
    ENDPOINT,
    HOSTNAME,
    METRICS,
    NAME,
    NAMESPACE,
    OPTIONAL_DIRECTORY,
    OPTIONAL_NAME,
    OPTIONAL_NAMESPACE,
    SUN_PATH,
    WORDS,
    Address,
    Flag,
    flag,
    one_of,
    seconds,
    switch,
    whole,
)

PROGRAM = "csi-solidfire"

_MISSING = "\0"  # stands for the value of a flag given without one; no argument can hold it


class ConfigError(Exception):
    """The settings cannot be used.

    Attributes:
        problems: All of them, a sentence each.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, kw_only=True)
class Common:
    """Settings of every mode."""

    TITLE: ClassVar[str] = "every mode"
    MODE: ClassVar[str]
    SUMMARY: ClassVar[str]

    log_level: str = flag(
        one_of("debug", "info", "warning", "error"),
        "The least important lines to log. debug shows each request, without its secrets.",
        "info",
    )
    log_format: str = flag(one_of("text", "json"), "text for people, json for collectors.", "text")

    def contradictions(self) -> list[str]:
        """Return what is wrong with settings that are allowed each by itself."""
        return []


@dataclass(frozen=True, kw_only=True)
class Serving(Common):
    """Settings of every mode that serves."""

    TITLE = "every mode that serves"

    endpoint: str = flag(
        ENDPOINT, "Where to answer CSI calls. TCP has no authentication: for development only.", "unix:///csi/csi.sock"
    )
    driver_name: str = flag(
        NAME, "The driver's name, a StorageClass's provisioner and the CSIDriver object's name.", "csi-solidfire.io"
    )
    hostname: str = flag(
        HOSTNAME,
        "The Kubernetes node this process runs on (spec.nodeName in the downward API). The node service reports it; "
        "the controller begins account names with it when a volume comes without topology.",
    )
    metrics_address: Address | None = flag(
        METRICS, "Where to serve /metrics, /healthz, /readyz and /livez over HTTP.", ":9808"
    )
    threads: int = flag(whole(1, 1024), "CSI calls served at the same time; further ones wait.", "32")
    shutdown_grace: float = flag(
        seconds(0, 3600),
        "How long calls in flight may go on after SIGTERM. Keep it below the pod's terminationGracePeriodSeconds.",
        "30",
    )


@dataclass(frozen=True, kw_only=True)
class Arrays(Common):
    """Settings of every mode that speaks to arrays."""

    TITLE = "arrays"

    clusters_dir: Path | None = flag(
        OPTIONAL_DIRECTORY,
        "Directory with a sub-directory for each SolidFire cluster, each a mounted Secret with the files endpoint, "
        "username, password and, if needed, caCert and svip. Empty: credentials come with each request.",
        "",
    )
    insecure_skip_tls_verify: bool = switch(
        "Do not check the array's certificate: anybody on the way can then read the admin password. Put the array's CA "
        "into caCert instead."
    )
    array_calls: int = flag(whole(1, 1000), "Requests to one cluster at the same time; further ones wait.", "32")


@dataclass(frozen=True, kw_only=True)
class Controller(Serving, Arrays):
    """Settings of the controller service, once in a Kubernetes cluster."""

    TITLE = "controller"
    MODE = "controller"
    SUMMARY = "Manage volumes on the array: once in a Kubernetes cluster, beside the sidecars."

    default_namespace: str = flag(
        NAMESPACE, "Namespace in the account names of volumes that come without a PersistentVolumeClaim.", "default"
    )
    chap_secrets_namespace: str = flag(
        OPTIONAL_NAMESPACE,
        "Namespace for the Secrets with the volumes' CHAP credentials: one for each volume, named after its "
        "PersistentVolume, for the StorageClass to name as node-stage secret. Empty: writes none.",
        "",
    )
    kubeconfig: Path | None = flag(
        OPTIONAL_DIRECTORY,
        "File that says how to reach Kubernetes' API for those Secrets. Empty: as the pod's ServiceAccount.",
        "",
    )
    chap_in_publish_context: bool = switch(
        "Hand CHAP passwords to the nodes in the publish context, which Kubernetes keeps in clear text in "
        "VolumeAttachment objects: whoever may read those can read every attached volume's password. For testing "
        "and for orchestrators without Secrets."
    )
    sweep_interval: float = flag(seconds(1, 86400), "Pause between two searches for empty accounts to remove.", "600")


@dataclass(frozen=True, kw_only=True)
class Node(Serving):
    """Settings of the node service, on every Kubernetes node."""

    TITLE = "node"
    MODE = "node"
    SUMMARY = "Log in to volumes, make filesystems and mount them: on every Kubernetes node."

    max_volumes: int = flag(whole(1, 65535), "Volumes that the scheduler may put on this node.", "256")
    kubelet_dir: Path = flag(DIRECTORY, "kubelet's --root-dir; nothing is mounted outside of it.", "/var/lib/kubelet")
    registration_dir: Path | None = flag(
        OPTIONAL_DIRECTORY,
        "Where to register with kubelet: its plugins_registry directory. The endpoint's socket must then be in the "
        "kubelet directory, which kubelet and the driver must see at the same path. Empty: does not register.",
        "",
    )
    host_command_prefix: tuple[str, ...] = flag(
        COMMAND,
        "Words put before iscsiadm and multipath to run the host's own, for example "
        "'nsenter --target 1 --mount --net --'. Empty when the driver runs directly on the host.",
        "",
    )
    host_root: Path = flag(
        DIRECTORY,
        "Where the host's root directory is seen from here: /proc/1/root in a container with the host's process IDs. "
        "Not a mount of it, which would show every volume a second time.",
        "/",
    )
    iscsi_db: Path | None = flag(
        OPTIONAL_DIRECTORY,
        "open-iscsi's database on the host. Empty: the one that exists of /etc/iscsi and /var/lib/iscsi.",
        "",
    )
    initiator_name_file: Path = flag(
        DIRECTORY, "File on the host with the iSCSI initiator's name.", "/etc/iscsi/initiatorname.iscsi"
    )
    replacement_timeout: int = flag(
        whole(1, 86400), "Seconds a lost iSCSI session has to come back before the filesystem sees errors.", "120"
    )

    def contradictions(self) -> list[str]:
        found = super().contradictions()
        if self.registration_dir is None:
            return found
        scheme, _, socket = self.endpoint.partition("://")
        # kubelet is told the socket's path and calls it there: one that only the container knows leads nowhere.
        if scheme != "unix" or not Path(socket).is_relative_to(self.kubelet_dir):
            wanted = f"unix://{self.kubelet_dir}/..."
            found.append(f"--registration-dir needs an --endpoint of {wanted}, but that is {self.endpoint}")
        # Less one: the socket is made under a hidden name first.
        if len(os.fsencode(self.registration_socket(self.registration_dir))) > SUN_PATH - 1:
            found.append(f"--registration-dir with --driver-name is too long for a socket's path: {SUN_PATH} bytes")
        return found

    def registration_socket(self, directory: Path) -> Path:
        """Return the socket in kubelet's directory, under the name that the node-driver-registrar would use.

        So two drivers of one name meet there, however each of them registers.
        """
        return directory / f"{self.driver_name}-reg.sock"


@dataclass(frozen=True, kw_only=True)
class All(Controller, Node):
    """Settings of both services in one process."""

    MODE = "all"
    SUMMARY = "Both services in one process: development, csi-sanity."


@dataclass(frozen=True, kw_only=True)
class RotateChap(Arrays):
    """Settings of the command that rotates CHAP secrets."""

    TITLE = "rotate-chap"
    MODE = "rotate-chap"
    SUMMARY = "Give accounts new CHAP secrets, volume by volume as they are next attached; or show how far that is."

    account: tuple[str, ...] = flag(
        WORDS, "Accounts to rotate, by name. Without this and --all nothing is begun, and what waits is shown.", ""
    )
    all: bool = switch(
        "Rotate all accounts of the driver. Those that took the place of one which volumes still use are left."
    )
    cluster: str = flag(OPTIONAL_NAME, "Which of the configured clusters. Empty: each of them.", "")
    watch: bool = switch("Go on showing what waits, whenever that changes, until nothing does.")

    def contradictions(self) -> list[str]:
        found = super().contradictions()
        if self.account and self.all:
            found.append("--account and --all cannot be combined")
        if self.clusters_dir is None:
            found.append("--clusters-dir is required: the clusters' admin credentials are there")
        return found


@dataclass(frozen=True)
class Version:
    """Print what this is."""


@dataclass(frozen=True)
class Help:
    """Print a text."""

    text: str


Settings = Controller | Node | All
_MODES: dict[str, type[Settings | RotateChap]] = {kind.MODE: kind for kind in (Controller, Node, All, RotateChap)}


def load(argv: Sequence[str], env: Mapping[str, str] = os.environ) -> Settings | RotateChap | Version | Help:
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
    settings = kind(**values)
    if contradictions := settings.contradictions():
        raise ConfigError(contradictions)
    return settings


def flag_name(item: Field[Any]) -> str:
    """Return `--clusters-dir` for the field `clusters_dir`."""
    return "--" + item.name.replace("_", "-")


def twin(item: Field[Any]) -> str:
    """Return the environment variable that says the same as a field's flag."""
    # The specification's own name: what starts a plug-in may set it.
    return "CSI_ENDPOINT" if item.name == "endpoint" else "CSI_SOLIDFIRE_" + item.name.upper()


def _value(item: Field[Any], given: str | None, env: Mapping[str, str]) -> object:
    written: Flag = item.metadata["flag"]
    text = env.get(twin(item), written.default) if given is None else given
    name = f"{flag_name(item)} (environment: {twin(item)})"
    if text is None:
        raise ValueError(f"{name} is required: {written.allowed}")
    if text == _MISSING:
        raise ValueError(f"{name} needs a value: {written.allowed}")
    try:
        return written.parse(text)
    except (ValueError, KeyError):
        raise ValueError(f"{name} is {_quote(text)}, must be {written.allowed}") from None


def _quote(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:80] + "…")


def _unknown(word: str, mode: str) -> str:
    """Complain of a word without repeating what may be a password."""
    if not word.startswith("-"):
        return f"a word that belongs to no flag; {mode} takes flags only"
    return f"{_quote(word.partition('=')[0])} is no flag of {mode}"


def _groups(kind: type[Common]) -> Iterator[tuple[str, list[Field[Any]]]]:
    """Return the settings of a mode by the class that introduced them."""
    for owner in (Common, Serving, Arrays, Controller, Node, RotateChap):
        if issubclass(kind, owner):
            yield owner.TITLE, [item for item in fields(owner) if item.name in owner.__annotations__]


class _Formatter(argparse.HelpFormatter):
    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)  # names and paths stay whole


def _parser(kind: type[Common]) -> argparse.ArgumentParser:
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
    written: Flag = item.metadata["flag"]
    default = "required" if written.default is None else f"default: {written.default or 'empty'}"
    text = f"{written.help} [{written.allowed}; {default}; environment: {twin(item)}]".replace("%", "%%")
    group.add_argument(
        flag_name(item),
        dest=item.name,
        nargs="?",
        const="true" if written.switch else _MISSING,
        metavar="true|false" if written.switch else item.name.rpartition("_")[2].upper(),
        help=text,
    )


def _overview() -> str:
    modes = "".join(f"  {name:13}{kind.SUMMARY}\n" for name, kind in _MODES.items())
    return (
        f"usage: {PROGRAM} {{{','.join(_MODES)},version}} [flags]\n\n"
        "Kubernetes CSI driver for NetApp SolidFire (Element) storage over iSCSI.\n\n"
        f"{modes}  version      Print the versions of the driver and of what it is built on.\n\n"
        f"`{PROGRAM} <mode> --help` explains the flags of a mode.\n"
    )
