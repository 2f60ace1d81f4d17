"""A cluster's certificates, made with the `openssl` command, and the kubeconfigs that hold them."""

from __future__ import annotations

import base64
import ipaddress
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

_DAYS = 365
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
# Without one of ours, the machine's openssl.cnf adds extensions that make every certificate an authority.
_CONFIG = "[req]\ndistinguished_name = name\n[name]\n"


@dataclass(frozen=True)
class Certificate:
    """Files with a certificate and its key, as PEM."""

    cert: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """The one authority of a cluster, in a directory of its own."""

    directory: Path

    @classmethod
    def make(cls, directory: Path) -> Self:
        """Make the authority and the key that signs service account tokens."""
        directory.mkdir(mode=0o700, parents=True)
        made = cls(directory)
        made._config.write_text(_CONFIG)
        extensions = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"]
        made._request(made.certificate, "/CN=csi-solidfire lab", extensions)
        # Not `genpkey`: the API server reads an elliptic key in its traditional form only.
        _openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", str(made.token_key))
        return made

    @property
    def certificate(self) -> Certificate:
        return self._files("ca")

    @property
    def token_key(self) -> Path:
        """The key that signs service account tokens."""
        return self.directory / "service-accounts.key"

    def issue(self, name: str, subject: str, alternatives: Sequence[str] = ()) -> Certificate:
        """Return a certificate for clients and servers, made the first time it is asked for.

        Args:
            name: Of its files.
            subject: As openssl writes one: `/O=group/CN=user`.
            alternatives: Host names and addresses.
        """
        issued = self._files(name)
        if not issued.cert.exists():
            extensions = ["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=serverAuth,clientAuth"]
            if alternatives:
                extensions.append("subjectAltName=" + ",".join(map(_alternative, alternatives)))
            signed = ["-CA", str(self.certificate.cert), "-CAkey", str(self.certificate.key)]
            self._request(issued, subject, extensions, *signed)
        return issued

    def _request(self, made: Certificate, subject: str, extensions: Sequence[str], *more: str) -> None:
        files = ["-config", str(self._config), "-keyout", str(made.key), "-out", str(made.cert)]
        added = [argument for extension in extensions for argument in ("-addext", extension)]
        _openssl("req", "-x509", *_KEY, *files, "-days", str(_DAYS), "-subj", subject, *added, *more)

    def _files(self, name: str) -> Certificate:
        return Certificate(self.directory / f"{name}.crt", self.directory / f"{name}.key")

    @property
    def _config(self) -> Path:
        return self.directory / "openssl.cnf"


def client_certificate(certificate: Certificate) -> dict[str, str]:
    """A kubeconfig's credentials that are a certificate."""
    return {"client-certificate-data": _encoded(certificate.cert), "client-key-data": _encoded(certificate.key)}


def write_kubeconfig(path: Path, server: str, ca: Path, credentials: dict[str, str]) -> Path:
    """Write a kubeconfig that needs no other file.

    Args:
        path: The file; readable by its owner alone.
        server: The API server's address.
        ca: The authority's certificate.
        credentials: Of the one user in it.
    """
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority-data": _encoded(ca)}}],
        "users": [{"name": "user", "user": credentials}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "user"}}],
        "current-context": "lab",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config, indent=2))
    return path


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=30)


def _alternative(name: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
