"""How a setting is written: the kinds of values, and the dataclass field that stands for a flag."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T", int, float)

SUN_PATH = 107  # bytes a Unix socket's path can have on Linux
_LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_DNS_NAME = rf"{_LABEL}(\.{_LABEL})*"


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


def flag(kind: tuple[Callable[[str], object], str], text: str, default: str | None = None) -> Any:
    return field(metadata={"flag": Flag(*kind, text, default)})


def switch(text: str) -> Any:
    return field(
        metadata={"flag": Flag({"true": True, "false": False}.__getitem__, "true or false", text, "false", switch=True)}
    )


def _endpoint(text: str) -> str:
    scheme, _, rest = text.partition("://")
    if scheme == "tcp":
        host, port = _address(rest)
        if host and port:
            return text
    elif scheme == "unix" and rest.startswith("/") and len(os.fsencode(rest)) <= SUN_PATH and not rest.endswith("/"):
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


def whole(low: int, high: int) -> tuple[Callable[[str], int], str]:
    return _between(int, "[0-9]{1,9}", low, high), f"a whole number from {low} to {high}"


def seconds(low: int, high: int) -> tuple[Callable[[str], float], str]:
    return _between(float, r"[0-9]{1,9}(\.[0-9]{1,9})?", low, high), f"seconds from {low} to {high}"


def _between(kind: type[T], pattern: str, low: int, high: int) -> Callable[[str], T]:
    def parse(text: str) -> T:
        if not re.fullmatch(pattern, text, re.ASCII) or not low <= kind(text) <= high:
            raise ValueError(text)
        return kind(text)

    return parse


def one_of(*values: str) -> tuple[Callable[[str], str], str]:
    return {value: value for value in values}.__getitem__, ", ".join(values[:-1]) + f" or {values[-1]}"


ENDPOINT = (_endpoint, f"unix:///absolute/path (up to {SUN_PATH} bytes) or tcp://host:port")
# csi-sanity wants a letter at both ends; the topology key begins with the name, which makes it lower case.
NAME = (_name(rf"(?=[a-z].*[a-z]$){_DNS_NAME}"), "a lowercase domain name, 2 to 63 long, a letter at both ends")
# It is a topology value, too, and those are label values in Kubernetes: 63 characters.
HOSTNAME = (_name(_DNS_NAME), "a node's name as Kubernetes spells it: lowercase, up to 63 characters")
NAMESPACE = (_name(_LABEL), "a namespace's name: lowercase letters, digits and -, up to 63")
METRICS = (_optional_address, "[host]:port, or off")
DIRECTORY = (_path, "an absolute path")
OPTIONAL_NAMESPACE = (lambda text: _name(_LABEL)(text) if text else "", f"{NAMESPACE[1]}, or empty")
OPTIONAL_NAME = (_name(r"[A-Za-z0-9_.-]*"), "a name, or empty")
OPTIONAL_DIRECTORY = (_optional_path, "an absolute path, or empty")
WORDS = (lambda text: tuple(filter(None, text.split(","))), "names with commas between them, or empty")
COMMAND = (lambda text: tuple(shlex.split(text)), "words as a shell would split them")
