"""Settings: flags, their twins in the environment, and complaints."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from csi_solidfire import config, logs

REFERENCE = Path(__file__).parents[2] / "docs/reference/cli.md"
MODES: dict[str, type[config.Settings | config.RotateChap]] = {
    "controller": config.Controller,
    "node": config.Node,
    "all": config.All,
    "rotate-chap": config.RotateChap,
}
REQUIRED = ["--hostname=node-1"]
ROTATION = ["--clusters-dir=/clusters"]

# For every setting: text that is allowed and is not the default, and what it means.
SAMPLES: dict[str, tuple[str, Any]] = {
    "endpoint": ("tcp://127.0.0.1:10000", "tcp://127.0.0.1:10000"),
    "driver_name": ("block.example.org", "block.example.org"),
    "hostname": ("worker-3.example.org", "worker-3.example.org"),
    "metrics_address": ("[::1]:9000", ("::1", 9000)),
    "log_level": ("debug", "debug"),
    "log_format": ("json", "json"),
    "threads": ("7", 7),
    "shutdown_grace": ("2.5", 2.5),
    "clusters_dir": ("/etc/clusters", Path("/etc/clusters")),
    "default_namespace": ("storage", "storage"),
    "chap_secrets_namespace": ("storage", "storage"),
    "kubeconfig": ("/etc/kubeconfig", Path("/etc/kubeconfig")),
    "chap_in_publish_context": ("true", True),
    "insecure_skip_tls_verify": ("true", True),
    "array_calls": ("4", 4),
    "sweep_interval": ("60", 60.0),
    "max_volumes": ("100", 100),
    "kubelet_dir": ("/data/kubelet", Path("/data/kubelet")),
    "registration_dir": ("/registration", Path("/registration")),
    "host_command_prefix": (
        "nsenter --target 1 --mount --net --",
        ("nsenter", "--target", "1", "--mount", "--net", "--"),
    ),
    "host_root": ("/host", Path("/host")),
    "iscsi_db": ("/etc/iscsi", Path("/etc/iscsi")),
    "initiator_name_file": ("/etc/other", Path("/etc/other")),
    "replacement_timeout": ("30", 30),
}
OF_ROTATION: dict[str, tuple[str, Any]] = {
    "account": ("node-1-shop,node-2-shop", ("node-1-shop", "node-2-shop")),
    "all": ("true", True),
    "cluster": ("east", "east"),
    "watch": ("true", True),
}
EVERY_SETTING = [(mode, item.name) for mode, kind in MODES.items() for item in fields(kind)]


def needed_with(mode: str, name: str) -> list[str]:
    """The flags without which one is not accepted."""
    if mode == "rotate-chap":
        return [] if name == "clusters_dir" else ROTATION
    needed = {"hostname": [], "registration_dir": [*REQUIRED, "--endpoint=unix:///var/lib/kubelet/csi.sock"]}
    return needed.get(name, REQUIRED)


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def twin(name: str) -> str:
    return "CSI_ENDPOINT" if name == "endpoint" else "CSI_SOLIDFIRE_" + name.upper()


def problems(argv: list[str], env: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(config.ConfigError) as raised:
        config.load(argv, env or {})
    return raised.value.problems


def help_text(mode: str) -> str:
    shown = config.load([mode, "--help"], {})
    assert isinstance(shown, config.Help)
    return shown.text


@pytest.mark.parametrize(("mode", "name"), EVERY_SETTING)
def test_every_flag_has_a_twin_in_the_environment(mode: str, name: str) -> None:
    text, value = (SAMPLES | OF_ROTATION)[name]
    required = needed_with(mode, name)
    from_flag = config.load([mode, *required, f"{flag(name)}={text}"], {})
    from_twin = config.load([mode, *required], {twin(name): text})
    assert from_flag == from_twin
    assert getattr(from_flag, name) == value
    if required:
        assert from_flag != config.load([mode, *required], {})


@pytest.mark.parametrize(("mode", "name"), EVERY_SETTING)
def test_a_flag_wins_over_its_twin(mode: str, name: str) -> None:
    text, value = (SAMPLES | OF_ROTATION)[name]
    settings = config.load([mode, *needed_with(mode, name), f"{flag(name)}={text}"], {twin(name): "not allowed: \n"})
    assert getattr(settings, name) == value


@pytest.mark.parametrize(("mode", "name"), EVERY_SETTING)
def test_a_complaint_names_flag_and_twin_and_what_is_allowed(mode: str, name: str) -> None:
    given = f"{flag(name)}=?" if (SAMPLES | OF_ROTATION)[name][1] is True else flag(name)
    said = problems([mode, *needed_with(mode, name), given])
    assert len(said) == 1
    assert flag(name) in said[0]
    assert twin(name) in said[0]
    (allowed,) = (row[3] for row in described_by_help(mode) if row[0] == flag(name))
    assert said[0].endswith(allowed)


def test_a_switch_needs_no_value() -> None:
    settings = config.load(["controller", "--insecure-skip-tls-verify", *REQUIRED], {})
    assert isinstance(settings, config.Controller)
    assert settings.insecure_skip_tls_verify


def test_all_problems_are_told_at_once() -> None:
    said = problems(
        ["all", "--threads=none", "--log-level", "--colour=red", "word"],
        {"CSI_ENDPOINT": "csi.sock", "CSI_SOLIDFIRE_KUBELET_DIR": "kubelet", "CSI_SOLIDFIRE_MAX_VOLUMES": "0"},
    )
    together = "\n".join(said)
    named = (
        "--threads",
        "--log-level",
        "'--colour'",
        "word",
        "--endpoint",
        "--kubelet-dir",
        "--max-volumes",
        "--hostname",
    )
    assert len(said) == len(named)
    assert all(name in together for name in named)


def test_a_password_given_by_mistake_is_not_repeated() -> None:
    said = problems(["controller", *REQUIRED, "--password=hunter2", "--secret", "hunter2", "hunter2"])
    assert "hunter2" not in "".join(said)
    assert any("'--password' is no flag of controller" in problem for problem in said)


@pytest.mark.parametrize("mode", ["controller", "node"])
def test_each_mode_has_only_its_own_flags(mode: str) -> None:
    own = {item.name for item in fields(MODES[mode])}
    for name in SAMPLES.keys() - own:
        assert f"'{flag(name)}' is no flag of {mode}" in problems([mode, *REQUIRED, f"{flag(name)}=1"])[0]
        config.load([mode, *REQUIRED], {twin(name): "whatever"})


def test_all_is_the_union_of_both() -> None:
    names = {item.name for item in fields(config.All)}
    assert names == {item.name for kind in (config.Controller, config.Node) for item in fields(kind)}
    assert names == SAMPLES.keys()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("endpoint", ""),
        ("endpoint", "/csi/csi.sock"),
        ("endpoint", "unix://csi.sock"),
        ("endpoint", "unix:///" + "x" * 107),
        ("endpoint", "tcp://:10000"),
        ("endpoint", "tcp://localhost"),
        ("endpoint", "tcp://localhost:0"),
        ("endpoint", "tcp://localhost:65536"),
        ("endpoint", "http://localhost:80"),
        ("driver_name", "x"),
        ("driver_name", "Example.org"),
        ("driver_name", "example.org1"),
        ("driver_name", "1example.org"),
        ("driver_name", "example..org"),
        ("driver_name", "a" * 64),
        ("driver_name", "exa_mple.org"),
        ("hostname", ""),
        ("hostname", "Node-1"),
        ("hostname", "node-1\n"),
        ("hostname", "node/1"),
        ("hostname", "n" * 64),
        ("metrics_address", "9808"),
        ("metrics_address", "localhost:"),
        ("log_level", "INFO"),
        ("threads", "0"),
        ("threads", "-1"),
        ("threads", "1.5"),
        ("threads", "٣"),
        ("shutdown_grace", "inf"),
        ("shutdown_grace", "nan"),
        ("default_namespace", "a.b"),
        ("default_namespace", ""),
        ("chap_in_publish_context", "maybe"),
        ("kubelet_dir", ""),
        ("host_command_prefix", "nsenter 'unclosed"),
        ("max_volumes", "0"),
        ("replacement_timeout", "0"),
    ],
)
def test_what_is_not_allowed_is_refused(name: str, text: str) -> None:
    assert flag(name) in problems(["all", *REQUIRED, f"{flag(name)}={text}"])[0]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ([], "needs an --endpoint of unix:///var/lib/kubelet/..., but that is unix:///csi/csi.sock"),
        (["--endpoint=tcp://127.0.0.1:10000"], "needs an --endpoint of unix:///var/lib/kubelet/..., but that is tcp"),
        (["--kubelet-dir=/data", "--endpoint=unix:///database/s"], "needs an --endpoint of unix:///data/..., but"),
        (["--kubelet-dir=/csi", f"--driver-name={'long' * 15}", f"--registration-dir=/{'x' * 40}"], "too long"),
    ],
)
def test_a_registration_that_kubelet_could_not_use_is_refused(given: list[str], complaint: str) -> None:
    (said,) = problems(["node", *REQUIRED, "--registration-dir=/registration", *given])
    assert complaint in said


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ([*ROTATION, "--all", "--account=node-1-shop"], "--account and --all cannot be combined"),
        ([], "--clusters-dir is required"),
    ],
)
def test_a_rotation_of_nothing_definite_is_refused(given: list[str], complaint: str) -> None:
    (said,) = problems(["rotate-chap", *given])
    assert complaint in said


@pytest.mark.parametrize("text", ["", "off"])
def test_metrics_can_be_off(text: str) -> None:
    settings = config.load(["node", *REQUIRED], {"CSI_SOLIDFIRE_METRICS_ADDRESS": text})
    assert isinstance(settings, config.Node)
    assert settings.metrics_address is None


@pytest.mark.parametrize("argv", [[], ["server"], ["--hostname=x"], ["version", "x"]])
def test_without_a_mode_there_is_one_complaint(argv: list[str]) -> None:
    assert len(problems(argv)) == 1


def test_the_log_knows_the_levels_and_formats_on_offer() -> None:
    for name, values in (("log_level", logs.LEVELS), ("log_format", logs.FORMATS)):
        for value in values:
            assert getattr(config.load(["node", *REQUIRED, f"{flag(name)}={value}"], {}), name) == value


def described_by_help(mode: str) -> set[tuple[str, ...]]:
    found: set[tuple[str, ...]] = set()
    for entry in re.split(r"^  (?=--)", help_text(mode), flags=re.MULTILINE)[1:]:
        words = " ".join(entry.split("\n\n")[0].split())
        match = re.fullmatch(
            r"(--[a-z-]+) \S+ (.*?) \[(.*); (?:default: (\S+)|(required)); environment: (\w+)\]", words
        )
        assert match, words
        name, meaning, allowed, default, required, env = match.groups()
        found.add((name, env, default or required, allowed, meaning))
    return found


@pytest.mark.parametrize(
    ("mode", "sections"),
    [("controller", (0, 1, 2, 3)), ("node", (0, 1, 4)), ("all", (0, 1, 2, 3, 4)), ("rotate-chap", (0, 2, 5))],
)
def test_the_reference_says_what_help_says(mode: str, sections: tuple[int, ...]) -> None:
    tables = REFERENCE.read_text().split("\n## ")[1:]
    rows = [
        tuple(cell.strip().strip("`") for cell in line.split("|")[1:6])
        for section in sections
        for line in tables[section].splitlines()
        if line.startswith("| `--")
    ]
    assert len(rows) == len(fields(MODES[mode]))
    assert set(rows) == described_by_help(mode)


def test_help_explains_without_hostname_or_anything_else() -> None:
    overview = config.load(["--help"], {})
    assert isinstance(overview, config.Help)
    assert all(f"  {mode}  " in overview.text for mode in (*MODES, "version"))
    assert "VolumeAttachment" in help_text("controller")
