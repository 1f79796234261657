"""TLS by the OpenSSL that comes with `cryptography`, newer than that of many Pythons.

Large uploads over TLS spend most of their time in it, and what it knows of a processor's own
instructions for AES makes encrypting up to three times as fast as with OpenSSL 3.0.
"""

from __future__ import annotations

import ipaddress
import ssl
from typing import TYPE_CHECKING, Final

from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.pyopenssl import verify_hostname, verify_ip_address

from domo_files_async.errors import InvalidArgumentError
from domo_files_async.transport.tls import RECORDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike
    from typing import NoReturn

__all__ = ("OpenSSLContext",)

_PARTIAL_WRITE: Final = 0x1
"""OpenSSL's SSL_MODE_ENABLE_PARTIAL_WRITE, which pyOpenSSL turns on and has no name for."""

_LEAVING: Final = RECORDS + 1024

_REASONS: Final = {
    9: "certificate is not yet valid",
    10: "certificate has expired",
    18: "self-signed certificate",
    19: "self-signed certificate in certificate chain",
    20: "unable to get local issuer certificate",
    21: "unable to verify the first certificate",
    26: "unsuitable certificate purpose",
}
"""OpenSSL's X509_V_ERR_…, those that people meet."""


class OpenSSLContext:
    """What a session takes as its `ssl` in place of an `ssl.SSLContext`, to encrypt faster.

    The extra `openssl`. Certificates and names of hosts are verified as with
    `ssl.create_default_context`, and as strictly. It can't be used through a proxy, with
    `trust_env`, or with an aiohttp session of one's own.

    Args:
        cafile: A file of PEM certificates to trust; by default those that the system trusts.

    Raises:
        InvalidArgumentError: There is no such file, or it holds no certificate.
    """

    def __init__(self, cafile: str | PathLike[str] | None = None) -> None:
        try:
            trusted = ssl.create_default_context(cafile=cafile)
        except (OSError, TypeError, ValueError) as error:
            raise InvalidArgumentError(
                f"cafile must be a file of PEM certificates: {cafile!r} can't be used ({error})"
            ) from None
        self._context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self._context.clear_mode(_PARTIAL_WRITE)
        self._context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
        self._context.set_min_proto_version(SSL.TLS1_2_VERSION)
        self._context.set_alpn_protos([b"http/1.1"])
        self._context.set_verify(SSL.VERIFY_PEER, _note)
        store = self._context.get_cert_store()
        assert store is not None
        store.set_flags(int(trusted.verify_flags))
        for one in trusted.get_ca_certs(binary_form=True):
            store.add_cert(crypto.load_certificate(crypto.FILETYPE_ASN1, one))
        if cafile is None and (folder := ssl.get_default_verify_paths().capath):
            store.load_locations(None, folder)

    def begin(self, host: str) -> _Conversation:
        """Begin to talk to a server whose certificate has to have the name *host*."""
        return _Conversation(self._context, host)


def _note(
    connection: SSL.Connection, _: crypto.X509, error: int, _depth: int, is_good: int
) -> bool:
    if not is_good:
        connection.set_app_data(error)
    return bool(is_good)


class _Conversation:
    """One connection's; what goes wrong is told by the exceptions of `ssl`."""

    ssl_object = None

    def __init__(self, context: SSL.Context, host: str) -> None:
        self._host = host
        self._verify: Callable[[SSL.Connection, str], object] = verify_ip_address
        self._tls = SSL.Connection(context, None)
        self._tls.set_connect_state()
        try:
            ipaddress.ip_address(host)
        except ValueError:
            self._verify = verify_hostname
            self._tls.set_tlsext_host_name(host.encode("ascii"))

    def arrive(self, data: memoryview | bytes | bytearray) -> None:
        if data:
            self._tls.bio_write(data)

    def shake(self) -> None:
        try:
            self._tls.do_handshake()
        except SSL.Error as error:
            self._fail(error)
        try:
            self._verify(self._tls, self._host)
        except (VerificationError, CertificateError, ValueError):
            raise _untrusted(f"it isn't for {self._host}") from None

    def leave(self) -> bytes:
        leaving = self._leave()
        if len(leaving) < _LEAVING:
            return leaving
        pieces = [leaving]
        while piece := self._leave():
            pieces.append(piece)
        return b"".join(pieces)

    def _leave(self) -> bytes:
        try:
            return self._tls.bio_read(_LEAVING)
        except SSL.WantReadError:
            return b""

    def encrypt(self, data: memoryview) -> int:
        if not data:
            return 0
        try:
            return self._tls.send(data)
        except SSL.Error as error:
            self._fail(error)

    def decrypt(self, view: memoryview) -> int:
        try:
            return self._tls.recv_into(view)
        except SSL.ZeroReturnError:
            return 0
        except SSL.Error as error:
            self._fail(error)

    def say_farewell(self) -> None:
        try:
            self._tls.shutdown()
        except SSL.Error as error:
            self._fail(error)

    def _fail(self, error: SSL.Error) -> NoReturn:
        if isinstance(error, SSL.WantReadError):
            raise ssl.SSLWantReadError from None
        number = self._tls.get_app_data()
        if number is not None:
            raise _untrusted(_REASONS.get(number, f"OpenSSL's error {number}")) from None
        said = error.args[0] if error.args else None
        reason = str(said[-1][-1]) if said and isinstance(said, list) else type(error).__name__
        failure = ssl.SSLError(1, reason)
        failure.reason = reason
        raise failure from None


def _untrusted(why: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, f"certificate verify failed: {why}")
    error.reason, error.verify_message = "CERTIFICATE_VERIFY_FAILED", why
    return error
