"""The search itself: a secret is found however it is written, and nothing else is."""

from __future__ import annotations

import base64
import html
import json
import shlex
import urllib.parse
from collections.abc import Callable

import pytest

from tests.leaks.needles import UNUSUAL, Secrets, unusual

_SPELLINGS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "in quotes": repr,
    "in quotes twice": lambda text: repr(repr(text)),
    "JSON": json.dumps,
    "JSON as Go writes it": lambda text: json.dumps(text).replace("<", "\\u003c").replace("&", "\\u0026"),
    "a URL's": lambda text: urllib.parse.quote(text, safe=""),
    "a form's": urllib.parse.quote_plus,
    "a shell's": shlex.quote,
    "HTML": html.escape,
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal in capitals": lambda text: text.encode().hex().upper(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 one further": lambda text: base64.b64encode(f"x{text}y".encode()).decode(),
    "base64 two further": lambda text: base64.b64encode(f"csi:{text}, and more".encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(f"?{text}?".encode()).decode(),
    "a JSON Web Token's": lambda text: base64.urlsafe_b64encode(json.dumps({"a": text}).encode()).decode().rstrip("="),
    "base64 twice": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
}


@pytest.mark.parametrize("kind", range(len(UNUSUAL)))
@pytest.mark.parametrize("spelling", _SPELLINGS)
def test_a_secret_is_found_in_any_spelling(spelling: str, kind: int) -> None:
    secrets = Secrets()
    secret = secrets.add("a secret", unusual(kind))
    secrets.add("another", unusual(kind))

    assert secrets.found_in(f"before{_SPELLINGS[spelling](secret)}after".encode()) == {"a secret"}


def test_what_could_turn_up_by_chance_is_no_secret_to_look_for() -> None:
    with pytest.raises(ValueError, match="nothing in it to look for"):
        Secrets().add("a secret", "a-b-c-d-e-f-g-h")
