"""Names that Element takes, from names that it does not."""

from __future__ import annotations

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from csi_solidfire.storage import names

FITTING = st.from_regex(r"[A-Za-z0-9-]{1,64}", fullmatch=True)
HOSTS = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", fullmatch=True)
NAMESPACES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)


def account_names(hostname: str, namespace: str) -> tuple[str, str]:
    """The first two names for a pair's account."""
    first, second = itertools.islice(names.account_names(hostname, namespace), 2)
    return first, second


@given(FITTING)
def test_a_name_that_fits_is_taken_as_it_is(name: str) -> None:
    assert names.volume_name(name) == name


@given(st.text(min_size=1, max_size=128))
def test_every_name_becomes_one_that_element_takes(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9-]{1,64}", names.volume_name(name), re.ASCII)


def test_names_stay_what_they_were() -> None:
    """Volumes are looked up under them: another spelling would lose every volume that bears the old one."""
    assert names.volume_name("a/b") == "a-b-c14cddc033f6"
    assert names.volume_name("é") == "volume-4a99557e4033"
    assert names.volume_name("a" * 65) == "a" * 51 + "-635361c48bb9"
    assert account_names("worker-3", "payments") == ("worker-3-payments", "worker-3-payments-9e8a3658b6fb")


@given(st.text(min_size=1, max_size=128), st.text(min_size=1, max_size=128))
def test_different_unfit_names_stay_different(one: str, other: str) -> None:
    both_fit = re.fullmatch(r"[A-Za-z0-9-]{1,64}", one, re.ASCII) or re.fullmatch(
        r"[A-Za-z0-9-]{1,64}", other, re.ASCII
    )
    if one != other and not both_fit:
        assert names.volume_name(one) != names.volume_name(other)


@given(HOSTS, NAMESPACES)
def test_account_names_fit_and_begin_readably(hostname: str, namespace: str) -> None:
    first, second = account_names(hostname, namespace)
    assert 1 <= len(first) <= 64
    assert 1 <= len(second) <= 64
    assert first.startswith(hostname[:51])
    plain = f"{hostname}-{namespace}"
    assert (first == plain) == (len(plain) <= 64)


@given(HOSTS, NAMESPACES, HOSTS, NAMESPACES)
def test_second_names_of_different_pairs_differ(a: str, b: str, c: str, d: str) -> None:
    if (a, b) != (c, d):
        assert account_names(a, b)[1] != account_names(c, d)[1]


def test_pairs_that_spell_the_same() -> None:
    one, other = account_names("a-b", "c"), account_names("a", "b-c")
    assert one[0] == other[0] == "a-b-c"
    assert one[1] != other[1]
