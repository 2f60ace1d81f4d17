"""The array's self-signed certificate, made with the `openssl` command."""

from __future__ import annotations

import functools
import ipaddress
import ssl
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ALWAYS = ("localhost", "127.0.0.1")
_DAYS = 3650


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as PEM text."""

    cert: str
    key: str


def for_state(directory: Path, addresses: Iterable[str]) -> Certificate:
    """Return the certificate kept beside the state; make it first if there is none."""
    cert, key = directory / "array.crt", directory / "array.key"
    if not (cert.exists() and key.exists()):
        made = make(tuple(addresses))
        key.touch(mode=0o600)
        key.write_text(made.key)
        cert.write_text(made.cert)
    return Certificate(cert.read_text(), key.read_text())


@functools.cache
def make(addresses: tuple[str, ...]) -> Certificate:
    """Make a certificate for the addresses and the local ones.

    The process makes one for each set of addresses and keeps it: a test starts many arrays, and openssl takes longer
    than all the rest.
    """
    names = ",".join(dict.fromkeys(_alternative(address) for address in (*ALWAYS, *addresses)))
    with tempfile.TemporaryDirectory(prefix="lab-array-") as directory:
        cert, key = Path(directory, "crt"), Path(directory, "key")
        # keyUsage with keyCertSign is what lets strict verifiers take a self-signed certificate for its own CA.
        usage = ["-addext", "keyUsage=critical,digitalSignature,keyCertSign", "-addext", "extendedKeyUsage=serverAuth"]
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        files = ["-keyout", str(key), "-out", str(cert)]
        subject = ["-subj", "/CN=Element lab array", "-addext", f"subjectAltName={names}"]
        command = ["openssl", "req", "-x509", *curve, *files, "-days", str(_DAYS), *subject, *usage]
        subprocess.run(command, check=True, capture_output=True, timeout=30)
        return Certificate(cert.read_text(), key.read_text())


def _alternative(address: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(address)}"
    except ValueError:
        return f"DNS:{address}"


def server_context(certificate: Certificate) -> ssl.SSLContext:
    """Return the server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w", prefix="lab-array-", suffix=".pem") as both:
        both.write(certificate.key + certificate.cert)
        both.flush()
        context.load_cert_chain(both.name)
    return context
