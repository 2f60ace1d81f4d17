"""Certificates: which the driver takes, and what it says of the others."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import grpc
import pytest

from lab.array import Array
from tests.support import ask, certificates
from tests.support.ask import create, publish, refused, unpublish
from tests.support.driver import Driver, secrets_of, wait_until, write_cluster

HERE = "IP:127.0.0.1"


def _told(array: Array, ca: str | None, *words: str, **changes: str) -> str:
    """Expect the same refusal for a request's Secret and for a mounted one; return the message."""
    with Driver(array) as driver:
        write_cluster(driver.clusters / "c1", array, caCert=ca, **changes)
        with refused(grpc.StatusCode.UNAVAILABLE, "TLS with", *words):
            create(driver)
        given = secrets_of(array) | {"caCert": ca or ""} | changes
        with refused(grpc.StatusCode.UNAVAILABLE, "TLS with", *words) as refusal:
            create(driver, secrets=given)
    assert not ask.volumes(array)
    assert "CERTIFICATE" not in refusal.message
    assert len(refusal.message) < 1000
    return refusal.message


def _works(array: Array, ca: str) -> None:
    with Driver(array) as driver:
        write_cluster(driver.clusters / "c1", array, caCert=ca)
        create(driver)


def test_a_ca_vouches_for_the_array(tmp_path: Path) -> None:
    """So do several of which one is right, expired ones among them, and the array's own certificate without its CA."""
    ca, other = certificates.authority(tmp_path), certificates.authority(tmp_path, "other")
    old = certificates.expired(tmp_path, other)
    shown = certificates.issue(tmp_path, ca, HERE)
    with certificates.array_with(tmp_path, shown) as array:
        for trusted in (ca.cert, other.cert + ca.cert, old.cert + ca.cert, shown.cert):
            _works(array, trusted)


def test_an_array_nobody_vouches_for(tmp_path: Path) -> None:
    ca, other = certificates.authority(tmp_path), certificates.authority(tmp_path, "other")
    with certificates.array_with(tmp_path, certificates.issue(tmp_path, ca, HERE)) as array:
        right = "caCert must be the array's certificate, or that of the CA which signed it"
        _told(array, other.cert, "certificate verify failed", right)
        _told(array, None, "certificate verify failed", "caCert is missing")


def test_a_ca_that_has_expired(tmp_path: Path) -> None:
    ca = certificates.authority(tmp_path)
    with certificates.array_with(tmp_path, certificates.issue(tmp_path, ca, HERE)) as array:
        said = _told(array, certificates.expired(tmp_path, ca).cert, "certificate has expired", "caCert", "GMT")
        assert "the array, or a CA" not in said


def test_a_certificate_of_the_array_that_has_expired(tmp_path: Path) -> None:
    ca = certificates.authority(tmp_path)
    shown = certificates.expired(tmp_path, certificates.issue(tmp_path, ca, HERE), ca)
    with certificates.array_with(tmp_path, shown) as array:
        _told(array, ca.cert, "certificate has expired", "the array, or a CA", "needs a new certificate")


def test_an_array_that_gets_another_certificate(tmp_path: Path) -> None:
    """The controller goes on with the Secret's next version, or all the time if both were in it before."""
    old, new = certificates.authority(tmp_path, "old"), certificates.authority(tmp_path, "new")
    with certificates.array_with(tmp_path, certificates.issue(tmp_path, old, HERE)) as array:
        foresighted, other = Driver(array), Driver(array)
        wait_until(lambda: array.calls.methods().count("ListAccounts") == 2)  # Each has made its first sweep.
        write_cluster(foresighted.clusters / "c1", array, caCert=old.cert + new.cert)
        write_cluster(other.clusters / "c1", array, caCert=old.cert)
        handle = create(other)
        publish(foresighted, handle)
    with (
        foresighted,
        other,
        certificates.array_with(tmp_path, certificates.issue(tmp_path, new, HERE), array.port) as array,
    ):
        unpublish(foresighted, handle)
        with refused(grpc.StatusCode.UNAVAILABLE, "certificate verify failed", "caCert"):
            publish(other, handle)
        write_cluster(other.clusters / "c1", array, caCert=new.cert)
        publish(other, handle)


@pytest.mark.parametrize("names", [["IP:127.0.0.2"], ["DNS:localhost"], ["DNS:array.example", "IP:::1"]], ids=str)
def test_a_certificate_for_another_address(tmp_path: Path, names: list[str]) -> None:
    ca = certificates.authority(tmp_path)
    with certificates.array_with(tmp_path, certificates.issue(tmp_path, ca, *names)) as array:
        _told(array, ca.cert, "mismatch", "endpoint must name the array as its certificate does")


def test_a_name_is_not_an_address(tmp_path: Path) -> None:
    ca = certificates.authority(tmp_path)
    with certificates.array_with(tmp_path, certificates.issue(tmp_path, ca, HERE)) as array:
        _told(array, ca.cert, "mismatch", "endpoint must name the array", endpoint=f"https://localhost:{array.port}")


def test_an_array_whose_certificate_names_no_address(tmp_path: Path) -> None:
    """Trusted as it is, nothing says that it is this array's."""
    shown = certificates.nameless(tmp_path)
    with certificates.array_with(tmp_path, shown) as array:
        _told(array, shown.cert, "mismatch", "endpoint must name the array", "has to be replaced by one that does")


def test_an_array_with_an_ipv6_address() -> None:
    with Array.start(unique_id="lab1", listen=("::1", 0), addresses=["::1"]) as array:
        assert array.endpoint == f"https://[::1]:{array.port}"
        _works(array, array.ca)
        with Driver(array) as driver:
            write_cluster(driver.clusters / "c1", array, endpoint=f"https://::1:{array.port}")
            with refused(grpc.StatusCode.UNAVAILABLE, "cluster c1", "endpoint must have its IPv6 address in brackets"):
                create(driver)


def test_something_else_answers_at_the_port(array: Array) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as other:
        serving = Thread(target=other.serve_forever)
        serving.start()
        try:
            _told(array, array.ca, "is it the array's HTTPS", endpoint=f"https://127.0.0.1:{other.server_port}")
        finally:
            other.shutdown()
            serving.join()
