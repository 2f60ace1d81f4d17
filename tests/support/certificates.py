"""Certificates of every sort an array can be given, made with the `openssl` command."""

from __future__ import annotations

import subprocess
from pathlib import Path

from lab.array import Array
from lab.array.tls import Certificate

_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def authority(directory: Path, name: str = "CA") -> Certificate:
    """Make a CA."""
    return _made(directory, name, ("-subj", f"/CN={name}"))


def issue(directory: Path, ca: Certificate, *names: str) -> Certificate:
    """Have a CA vouch for an array at names such as `IP:127.0.0.1` or `DNS:array.example`."""
    signer = _files(directory, ca)
    extensions = ("-addext", f"subjectAltName={','.join(names)}", "-addext", "basicConstraints=CA:FALSE")
    return _made(directory, "array", ("-subj", "/CN=array", *signer, *extensions))


def nameless(directory: Path, name: str = "nameless") -> Certificate:
    """Make a certificate like the one that NetApp shows in its docs of GetSSLCertificate: for no address whatever."""
    config = directory / "openssl.cnf"
    config.write_text("[req]\ndistinguished_name=name\nx509_extensions=own\n[name]\n[own]\nbasicConstraints=CA:TRUE\n")
    return _made(directory, name, ("-config", str(config), "-sha1", "-subj", "/O=NetApp"))


def expired(directory: Path, old: Certificate, ca: Certificate | None = None) -> Certificate:
    """Make the same certificate with an end that has passed, signed by itself or by a CA."""
    cert, key, request = directory / "old.crt", directory / "old.key", directory / "old.csr"
    cert.write_text(old.cert)
    key.write_text(old.key)
    again = ("-days", "-1", "-copy_extensions", "copyall", "-out", str(cert))
    _openssl("x509", "-x509toreq", "-in", str(cert), "-signkey", str(key), *again[2:4], "-out", str(request))
    _openssl("x509", "-req", "-in", str(request), *(_files(directory, ca) if ca else ("-signkey", str(key))), *again)
    return Certificate(cert.read_text(), old.key)


def array_with(directory: Path, certificate: Certificate, port: int = 0) -> Array:
    """Start an array that shows a certificate; in the same directory it is the same array."""
    state = directory / "state"
    state.mkdir(exist_ok=True)
    (state / "array.crt").write_text(certificate.cert)
    (state / "array.key").write_text(certificate.key)
    return Array.start(unique_id="lab1", state=state, listen=("127.0.0.1", port))


def _made(directory: Path, name: str, options: tuple[str, ...]) -> Certificate:
    cert, key = directory / f"{name}.crt", directory / f"{name}.key"
    _openssl("req", "-x509", *_CURVE, "-days", "30", "-keyout", str(key), "-out", str(cert), *options)
    return Certificate(cert.read_text(), key.read_text())


def _files(directory: Path, ca: Certificate) -> tuple[str, ...]:
    cert, key = directory / "signer.crt", directory / "signer.key"
    cert.write_text(ca.cert)
    key.write_text(ca.key)
    return ("-CA", str(cert), "-CAkey", str(key), "-set_serial", "7")


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=30)
