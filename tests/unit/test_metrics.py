"""The metrics and the server that shows them."""

from __future__ import annotations

import re
import socket
import struct
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from csi_solidfire import metrics
from tests.support.driver import wait_until

REFERENCE = Path(__file__).parents[2] / "docs/reference/metrics.md"


class Driver:
    """A driver in some state."""

    def __init__(self, *, ready: bool = True, answers: bool = True) -> None:
        self._ready = ready
        self._answers = answers

    def alive(self) -> None:
        if not self._answers:
            raise ConnectionRefusedError("no answer")

    def ready(self) -> bool:
        self.alive()
        return self._ready


@contextmanager
def serving(health: metrics.Health | None = None, host: str = "127.0.0.1", *, trouble: str = "") -> Iterator[str]:
    server = metrics.serve(host, 0, health or Driver(), lambda: trouble)
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.stop()


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own server
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.read().decode()


def value(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def test_everything_counted_can_be_read() -> None:
    metrics.rpc("CreateVolume", "OK", 0.2)
    metrics.element_call("mvip", "ListVolumes", "ok", 0.002)
    metrics.element_call("mvip", "ListVolumes", "xVolumeIDDoesNotExist", 0.002)
    metrics.element_retry("mvip", "ListVolumes", "timeout")
    metrics.command("mkfs.ext4", "ok", 1.5)
    metrics.build_info("node")
    with metrics.rpc_in_flight("Probe"), serving() as url:
        status, text = get(url + "/metrics")
    assert status == 200
    for line in (
        'csi_solidfire_rpc_duration_seconds_count{code="OK",method="CreateVolume"}',
        'csi_solidfire_rpc_duration_seconds_bucket{code="OK",le="0.25",method="CreateVolume"}',
        'csi_solidfire_rpcs_in_flight{method="Probe"} 1.0',
        "csi_solidfire_element_call_duration_seconds_count"
        '{array="mvip",method="ListVolumes",outcome="xVolumeIDDoesNotExist"}',
        'csi_solidfire_element_retries_total{array="mvip",method="ListVolumes",reason="timeout"}',
        'csi_solidfire_host_command_duration_seconds_sum{outcome="ok",program="mkfs.ext4"}',
        'mode="node"',
        "process_resident_memory_bytes",
    ):
        assert line in text
    assert "_created" not in text


def test_calls_are_counted_by_method_and_code_and_timed() -> None:
    name = "csi_solidfire_rpc_duration_seconds"
    labels = {"method": "DeleteVolume", "code": "ABORTED"}
    count, total = value(f"{name}_count", **labels), value(f"{name}_sum", **labels)
    metrics.rpc("DeleteVolume", "ABORTED", 0.25)
    metrics.rpc("DeleteVolume", "OK", 0.25)
    assert value(f"{name}_count", **labels) == count + 1
    assert value(f"{name}_sum", **labels) == pytest.approx(total + 0.25)


def test_a_call_in_flight_is_no_longer_so_when_it_failed() -> None:
    def fail() -> None:
        with metrics.rpc_in_flight("NodeStageVolume"):
            assert value("csi_solidfire_rpcs_in_flight", method="NodeStageVolume") == 1
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert value("csi_solidfire_rpcs_in_flight", method="NodeStageVolume") == 0


@pytest.mark.parametrize(
    ("driver", "healthz", "livez"),
    [(Driver(), 200, 200), (Driver(ready=False), 503, 200), (Driver(answers=False), 503, 503)],
    ids=["ready", "not ready", "no answer"],
)
def test_health_is_readiness_and_life_is_an_answer(driver: Driver, healthz: int, livez: int) -> None:
    with serving(driver) as url:
        assert get(url + "/healthz")[0] == healthz
        assert get(url + "/livez")[0] == livez
        assert get(url + "/readyz")[0] == healthz


def test_a_driver_that_kubelet_does_not_know_is_healthy_but_not_ready() -> None:
    with serving(trouble="not registered with kubelet") as url:
        assert get(url + "/healthz")[0] == get(url + "/livez")[0] == 200
        assert get(url + "/readyz") == (503, "not registered with kubelet\n")
        assert value("csi_solidfire_ready") == 0
    with serving() as url:
        assert get(url + "/readyz") == (200, "ok\n")
        assert value("csi_solidfire_ready") == 1


def test_one_who_hangs_up_is_no_trouble(capfd: pytest.CaptureFixture[str]) -> None:
    """As kubelet does when a busy machine answers too late; each time would leave a traceback."""
    asked, hung_up = threading.Event(), threading.Event()

    class Slow(Driver):
        def alive(self) -> None:
            asked.set()
            assert hung_up.wait(30)

    before = threading.active_count()
    with serving(Slow()) as url:
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed with a reset
            client.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
            assert asked.wait(30)
        hung_up.set()
        assert get(f"{url}/livez") == (200, "ok\n")
    wait_until(lambda: threading.active_count() <= before)
    assert "Traceback" not in capfd.readouterr().err


def test_other_paths_say_which_there_are() -> None:
    with serving() as url:
        assert get(url + "/") == (404, "There are /metrics, /healthz, /readyz and /livez.\n")


def test_no_host_is_every_address() -> None:
    with serving(host="") as url:
        assert get(url + "/livez")[0] == 200
        if socket.has_dualstack_ipv6():
            assert get(url.replace("127.0.0.1", "[::1]") + "/livez")[0] == 200


def test_a_taken_port_is_an_error() -> None:
    with serving() as url, pytest.raises(OSError, match="in use"):
        metrics.serve("127.0.0.1", int(url.rpartition(":")[2]), Driver(), str)


def test_the_reference_describes_every_metric() -> None:
    described = dict(re.findall(r"^\| `(csi_solidfire_\w+)` \| (\w+) \|", REFERENCE.read_text(), re.MULTILINE))
    metrics.build_info("node")
    exist = {}
    for family in metrics.REGISTRY.collect():
        if family.name.startswith("csi_solidfire_"):
            exist[family.name + ("_total" if family.type == "counter" else "")] = family.type
    assert described == exist


def test_the_reference_names_the_labels() -> None:
    text = REFERENCE.read_text()
    metrics.rpc("Probe", "OK", 0)
    metrics.element_call("mvip", "GetAPI", "ok", 0)
    metrics.element_retry("mvip", "GetAPI", "timeout")
    metrics.command("mount", "ok", 0)
    metrics.kubernetes_call("get", "ok", 0)
    for family in metrics.REGISTRY.collect():
        if family.name.startswith("csi_solidfire_"):
            (row,) = (line for line in text.splitlines() if line.startswith(f"| `{family.name}"))
            labels = set().union(*(sample.labels for sample in family.samples)) - {"le"}
            assert set(re.findall(r"`(\w+)`", row.split("|")[3])) == labels
