"""Whose certificate the array must show, and what to do when it shows another one."""

from __future__ import annotations

import base64
import binascii
import functools
import ssl
import time
from collections.abc import Iterator

from csi_solidfire import https

_BEGIN = "-----BEGIN "
_NOT_VALID_YET, _EXPIRED = 9, 10  # OpenSSL's x509_vfy.h names these numbers.
_NOBODY_VOUCHES = frozenset({2, 18, 19, 20, 21, 24})
_OTHER_NAME = frozenset({62, 64})
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})


@functools.lru_cache(64)
def problem(text: str) -> str:
    """Say why a text cannot be a `ca_cert`; empty if it can."""
    if "PRIVATE KEY-----" in text:
        return "holds a private key: only certificates belong there, and that key is no longer secret"
    if _BEGIN not in text:
        return f"is {ENCODED_TWICE}" if _BEGIN in decoded(text) else "must be certificates in PEM form"
    if f"{_BEGIN}CERTIFICATE-----" not in text:
        return "must be certificates in PEM form, and holds something else in PEM form"
    try:
        _holder(text)
    except (ssl.SSLError, TypeError):
        return "has a certificate in PEM form that is damaged: is it whole, with its line breaks?"
    return ""


ENCODED_TWICE = "encoded in base64 twice: once under `data` of a manifest, not at all under `stringData`"


def decoded(text: str) -> str:
    """Return what a text holds if it is base64, else nothing."""
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def context(ca_cert: str, *, verify: bool) -> ssl.SSLContext:
    """Return the client's side of TLS.

    Args:
        ca_cert: PEM certificates to trust instead of the system's; empty for the system's.
        verify: False takes any certificate.
    """
    made = ssl.create_default_context(cadata=ca_cert or None)
    made.sslsocket_class = https.Socket
    # Python 3.13 began to set both. Strictness refuses what arrays sign for themselves: NetApp's own example
    # (docs of GetSSLCertificate) has basic constraints that are not critical. And a certificate that was put into
    # caCert is trusted, whether or not it is a root.
    made.verify_flags = made.verify_flags & ~ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


def reason(error: BaseException, ca_cert: str) -> str:
    """Say why TLS failed, in OpenSSL's words, and what can be done about it."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate verify failed: {cause.verify_message} ({_advice(cause.verify_code, ca_cert)})"
        if isinstance(cause, ssl.SSLError) and cause.reason:
            hint = " (is it the array's HTTPS that answers there?)" if cause.reason in _NO_TLS else ""
            return cause.reason.lower().replace("_", " ") + hint
    return type(error).__name__


def _advice(code: int, ca_cert: str) -> str:
    if code == _EXPIRED:
        if expired := _expired(ca_cert):
            return f"caCert has a certificate that expired on {expired}: put the array's present one there"
        return "the array, or a CA between it and the one in caCert, needs a new certificate"
    if code == _NOT_VALID_YET:
        return "do the clocks of the array and of this machine agree?"
    if code in _OTHER_NAME:
        return (
            "endpoint must name the array as its certificate does; a certificate that names no address has to be"
            " replaced by one that does"
        )
    if code in _NOBODY_VOUCHES and not ca_cert:
        return "caCert is missing: put the array's certificate there, or that of the CA which signed it"
    return "caCert must be the array's certificate, or that of the CA which signed it"


def _expired(ca_cert: str) -> str:
    """Return when the first certificate of a `ca_cert` that is too old expired; empty if none is."""
    if not ca_cert:
        return ""
    ends = [str(certificate["notAfter"]) for certificate in _holder(ca_cert).get_ca_certs()]
    return next((end for end in ends if ssl.cert_time_to_seconds(end) < time.time()), "")


def _holder(ca_cert: str) -> ssl.SSLContext:
    """Return what can tell about the certificates of a `ca_cert`, as far as they are CAs'.

    Raises:
        ssl.SSLError: There is none in it.
        TypeError: It is not ASCII.
    """
    holder = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    holder.load_verify_locations(cadata=ca_cert)
    return holder


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what led to it, the latest first."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
