"""A StorageClass's parameters, read and refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csi_solidfire import errors
from csi_solidfire.element.types import Qos
from csi_solidfire.storage.parameters import Parameters

KNOWN = ["accountNamespace", "burstIOPS", "cluster", "deletePolicy", "enable512e", "fencing"]
KNOWN += ["maxIOPS", "minIOPS", "qosPolicy"]


def test_what_counts_when_nothing_is_said() -> None:
    assert Parameters.parse({}) == Parameters(
        qos=None, qos_policy="", enable_512e=True, recycle=False, fencing=True, namespace="", claim="", cluster=""
    )


def test_everything_said() -> None:
    said = {
        "minIOPS": "50",
        "maxIOPS": "200000",
        "burstIOPS": "200000",
        "enable512e": "false",
        "deletePolicy": "recycle",
        "fencing": "false",
        "accountNamespace": "fallback",
        "cluster": "c1",
        "csi.storage.k8s.io/fstype": "xfs",
        "csi.storage.k8s.io/pvc/namespace": "shop",
        "csi.storage.k8s.io/pvc/name": "data",
        "csi.storage.k8s.io/pv/name": "pvc-1",
    }
    assert Parameters.parse(said) == Parameters(
        qos=Qos(50, 200000, 200000),
        enable_512e=False,
        recycle=True,
        fencing=False,
        namespace="shop",
        claim="data",
        cluster="c1",
    )
    assert Parameters.parse({"accountNamespace": "fallback"}).namespace == "fallback"
    assert Parameters.parse({"qosPolicy": "gold"}).qos_policy == "gold"


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        Parameters.parse({"Fencing": "x", "minIOPS": "-1", "enable512e": "True", "deletePolicy": "keep", "cluster": ""})
    for word in ("'Fencing' is not known", *KNOWN, "'-1'", "'True'", "'keep'", "cluster must not be empty"):
        assert word in str(caught.value)


@pytest.mark.parametrize("value", ["", "0", "01", "1.5", "1e3", " 5", "5 ", "+5", "\u0663", "200001", "9" * 50, "0x10"])
@pytest.mark.parametrize("key", ["minIOPS", "maxIOPS", "burstIOPS"])
def test_what_is_no_number_of_iops(key: str, value: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=f"{key} is .* whole number from 1 to 200000"):
        Parameters.parse({key: value})


@pytest.mark.parametrize(
    ("least", "most", "burst"), [("3", "2", None), (None, "3", "2"), ("3", None, "2"), ("1", "3", "2")]
)
def test_iops_the_wrong_way_round(least: str | None, most: str | None, burst: str | None) -> None:
    said = {"minIOPS": least, "maxIOPS": most, "burstIOPS": burst}
    with pytest.raises(errors.InvalidRequest, match="minIOPS must not exceed maxIOPS, nor maxIOPS burstIOPS"):
        Parameters.parse({key: value for key, value in said.items() if value})


@given(st.dictionaries(st.sampled_from(KNOWN) | st.text(max_size=20), st.text(max_size=20), max_size=5))
def test_nothing_is_ignored(said: dict[str, str]) -> None:
    """What is taken is known and has a value that shows in the result, or else it is refused."""
    try:
        parsed = Parameters.parse(said)
    except errors.InvalidRequest:
        return
    assert all(key in KNOWN or key.startswith("csi.storage.k8s.io/") for key in said)
    if "cluster" in said:
        assert parsed.cluster == said["cluster"] != ""


def test_a_long_value_is_shown_in_part() -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        Parameters.parse({"deletePolicy": "x" * 4000})
    assert len(str(caught.value)) < 300
