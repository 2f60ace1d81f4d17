"""Element names for CSI's names, and account names for pairs of node and namespace.

Element takes 1 to 64 characters for both; volume names only ASCII letters, digits and `-`.
A name is only where to look: the full name in the attributes decides (`storage.marks`).
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator

_LONGEST = 64
_HASH_DIGITS = 12
_SHARED = "shared"
_FITS = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_UNFIT = re.compile(r"[^A-Za-z0-9-]+", re.ASCII)


def volume_name(csi_name: str) -> str:
    """Return the Element name for a CSI name: itself if it fits, else a readable start and a hash."""
    if _FITS.fullmatch(csi_name):
        return csi_name
    return _hashed(_UNFIT.sub("-", csi_name).strip("-") or "volume", csi_name)


def account_names(hostname: str, namespace: str) -> Iterator[str]:
    """Yield names for the pair's account, best first, without end.

    `a-b` and `c` spell the same first name as `a` and `b-c`; the further ones hold a hash of the pair,
    with a separator that neither part can contain. No hostname stands for the namespace's shared account.
    """
    plain = f"{hostname or _SHARED}-{namespace}"
    if len(plain) <= _LONGEST:
        yield plain
    yield _hashed(plain, f"{hostname}/{namespace}")
    for number in itertools.count(2):
        yield _hashed(plain, f"{hostname}/{namespace}/{number}")


def _hashed(readable: str, full: str) -> str:
    digest = hashlib.sha256(full.encode()).hexdigest()[:_HASH_DIGITS]
    return f"{readable[: _LONGEST - _HASH_DIGITS - 1]}-{digest}"
