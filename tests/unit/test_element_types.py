"""What an array may answer, and what is concluded when it answers something else."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csi_solidfire import errors
from csi_solidfire.element import errors as element_errors
from csi_solidfire.element.types import Account, Capacity, ClusterInfo, Limits, Malformed, QosPolicy, Volume

# As Element 11.7 answered, shortened by what nobody reads.
VOLUME: dict[str, Any] = {
    "access": "readWrite",
    "accountID": 1,
    "attributes": {},
    "blockSize": 4096,
    "enable512e": True,
    "iqn": "iqn.2010-01.com.solidfire:jyay.test.1",
    "name": "test",
    "qos": {"burstIOPS": 15000, "burstTime": 60, "curve": {"4096": 100}, "maxIOPS": 15000, "minIOPS": 50},
    "qosPolicyID": None,
    "scsiNAADeviceID": "6F47ACC1000000006A79617900000001",
    "status": "active",
    "totalSize": 1000341504,
    "volumeID": 1,
}
ACCOUNT: dict[str, Any] = {
    "accountID": 1,
    "attributes": {},
    "initiatorSecret": "abcdefghijkl",
    "status": "active",
    "targetSecret": "mnopqrstuvwx",
    "username": "node-1-shop",
    "volumes": [1, 2],
}
INFO = {"uniqueID": "jyay", "name": "lab", "svip": "10.0.0.1"}
LIMITS = {"volumeSizeMin": 10**9, "volumeSizeMax": 2**44, "volumesPerAccountCountMax": 2000}
CAPACITY = {"provisionedSpace": 1, "maxOverProvisionableSpace": 2}
POLICY = {"qosPolicyID": 1, "name": "gold"}
KINDS: list[tuple[Any, dict[str, Any]]] = [
    (Volume, VOLUME),
    (Account, ACCOUNT),
    (ClusterInfo, INFO),
    (Limits, LIMITS),
    (Capacity, CAPACITY),
    (QosPolicy, POLICY),
]
OPTIONAL = {"attributes", "qosPolicyID", "initiatorSecret", "targetSecret", "blockSize"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


def test_a_volume() -> None:
    volume = Volume.from_json(VOLUME | {"somethingNew": [1]})
    assert volume.volume_id == 1
    assert volume.naa == "6f47acc1000000006a79617900000001"
    assert (volume.qos.min_iops, volume.qos.max_iops, volume.qos.burst_iops) == (50, 15000, 15000)
    assert volume.qos_policy_id is None
    assert Volume.from_json(VOLUME | {"qosPolicyID": 7}).qos_policy_id == 7
    assert Volume.from_json(VOLUME | {"qosPolicyID": 0}).qos_policy_id is None
    assert Volume.from_json(VOLUME | {"attributes": None}).attributes == {}


def test_an_account_shows_no_secret() -> None:
    account = Account.from_json(ACCOUNT)
    assert account.volumes == (1, 2)
    assert "abcdefghijkl" not in repr(account)
    assert "mnopqrstuvwx" not in repr(account)
    assert Account.from_json(ACCOUNT | {"initiatorSecret": None}).initiator_secret == ""


@pytest.mark.parametrize(("kind", "answer"), KINDS)
def test_a_required_member_that_is_missing_is_named(kind: Any, answer: dict[str, Any]) -> None:
    for name in set(answer) - OPTIONAL:
        for broken in ({key: answer[key] for key in answer if key != name}, answer | {name: None}):
            with pytest.raises(Malformed, match=f"'{name}'"):
                kind.from_json(broken)


@pytest.mark.parametrize(("kind", "answer"), KINDS)
@given(data=st.data())
def test_any_value_of_any_member_is_understood_or_malformed(
    kind: Any, answer: dict[str, Any], data: st.DataObject
) -> None:
    """Whatever an array or something before it sends, the driver has planned for it."""
    name = data.draw(st.sampled_from(sorted(answer)))
    value = data.draw(JSON)
    with contextlib.suppress(Malformed):
        kind.from_json(answer | {name: value})


@pytest.mark.parametrize(("kind", "answer"), KINDS)
@given(anything=JSON)
def test_anything_is_understood_or_malformed(kind: Any, answer: dict[str, Any], anything: object) -> None:
    with contextlib.suppress(Malformed):
        kind.from_json(anything)


@pytest.mark.parametrize("value", [-1, 1 << 62, 10**400, 1.0, "1", True, None, [1]], ids=repr)
def test_what_is_no_number_of_elements(value: object) -> None:
    for name in ("volumeID", "accountID", "totalSize"):
        with pytest.raises(Malformed, match=name):
            Volume.from_json(VOLUME | {name: value})
    with pytest.raises(Malformed, match="minIOPS"):
        Volume.from_json(VOLUME | {"qos": VOLUME["qos"] | {"minIOPS": value}})
    with pytest.raises(Malformed, match="volumes"):
        Account.from_json(ACCOUNT | {"volumes": [1, value]})


def test_secrets_of_the_wrong_type_are_not_passed_on() -> None:
    with pytest.raises(Malformed, match="initiatorSecret") as caught:
        Account.from_json(ACCOUNT | {"initiatorSecret": ["abcdefghijkl"]})
    assert "abcdefghijkl" not in str(caught.value)
    for broken in ({"attributes": ["x"]}, {"attributes": "x"}, {"volumes": "x"}):
        with pytest.raises(Malformed):
            Account.from_json(ACCOUNT | broken)


def test_a_boolean_is_no_number() -> None:
    with pytest.raises(Malformed, match="volumeID"):
        Volume.from_json(VOLUME | {"volumeID": True})


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("xUnknownAccount", errors.Unavailable),
        ("xAccountIDDoesNotExist", errors.Unavailable),
        ("xDuplicateUsername", errors.Unavailable),
        ("xVolumeIDDoesNotExist", errors.NotFound),
        ("xExceededLimit", errors.Exhausted),
        ("xTotalCapacityExceeded", errors.Exhausted),
        ("xPermissionDenied", errors.PermissionDenied),
        ("xInvalidParameter", errors.InvalidRequest),
        ("xInvalidAPIParameter", errors.InvalidRequest),
        ("xUnknownAPIMethod", errors.Refused),
        ("xDBConnectionLoss", errors.Unavailable),
        ("xWhatever", errors.Unavailable),
        ("", errors.Unavailable),
    ],
)
def test_errors_by_name(name: str, kind: type[errors.DriverError]) -> None:
    error = element_errors.of_answer("CreateVolume", name, "said so")
    assert isinstance(error, kind)
    assert str(error) == f"CreateVolume: {name}: said so"
    assert str(element_errors.of_answer("CreateVolume", "xA", "xA")) == "CreateVolume: xA"


def test_no_passing_state_is_taken_for_a_definite_no() -> None:
    for name in element_errors.TRANSIENT:
        assert type(element_errors.of_answer("X", name, "")) is element_errors.Passing
