"""Secrets that are hard to handle and easy to find again, in whatever spelling they turn up."""

from __future__ import annotations

import re
import secrets
import string
from base64 import b64encode
from collections.abc import Iterator

# What breaks formatting, quoting, escaping and redaction done naively, in pairs around a random middle.
UNUSUAL = (
    ("%s{", "}\"'"),
    ("$(x", ")`;"),
    ("\\n<", "&#="),
    ("'; ", " =|"),
    ("../", '"%d'),
    ("{0}", "\\0~"),
    ("*?[", "]!^"),
    ("# @", ",:>"),
)
_ALPHABET = string.ascii_letters + string.digits
_MIDDLE = 10  # characters; no more, for 16 is all that Element takes
_SHORTEST = 8  # characters that do not turn up by chance
_CORE = re.compile(rb"[A-Za-z0-9]{%d,}" % _SHORTEST)


def unusual(kind: int) -> str:
    """Make up a secret of 16 characters."""
    before, after = UNUSUAL[kind % len(UNUSUAL)]
    return f"{before}{middle()}{after}"


def middle() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_MIDDLE))


class Secrets:
    """All that must not turn up, by what it is.

    Letters and digits are the same in JSON, in URLs, in quotes of every language and in every escaping, so it is the
    longest runs of those that are looked for, as they are and as they look within base64 and hexadecimal digits.
    """

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def add(self, name: str, value: str) -> str:
        """Remember a secret; return it.

        Raises:
            ValueError: It could not be told from chance.
        """
        if not _CORE.search(value.encode()):
            raise ValueError(f"{name} has nothing in it to look for")
        self._names.setdefault(value, name)
        return value

    def names(self) -> set[str]:
        return set(self._names.values())

    def needles(self) -> dict[bytes, str]:
        """Return the names of secrets by what to look for."""
        return {needle: name for value, name in self._names.items() for needle in _spellings(value.encode())}

    def found_in(self, text: bytes) -> set[str]:
        """Return the names of the secrets that are in a text."""
        return {name for needle, name in self.needles().items() if needle in text}


def _spellings(secret: bytes) -> Iterator[bytes]:
    for core in _CORE.findall(secret):
        yield core
        yield core.hex().encode()
        yield core.hex().upper().encode()
        for shift in range(3):
            encoded = _within_base64(core, shift)
            yield encoded
            yield encoded.translate(bytes.maketrans(b"+/", b"-_"))
            yield from (_within_base64(encoded, again) for again in range(3))


def _within_base64(text: bytes, shift: int) -> bytes:
    """Return what base64 of a longer text has for a part of it, without the digits that what surrounds it has a say in.

    Args:
        shift: Where the part begins, modulo 3.
    """
    first = (0, 2, 3)[shift]
    return b64encode(bytes(shift) + text)[first : (shift + len(text)) * 8 // 6]
