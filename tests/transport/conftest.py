"""What is promised of requests holds whichever way they go."""

from __future__ import annotations

import ssl

import pytest
import trustme

from domo_files_async.openssl import OpenSSLContext
from tests.transport.tools import WAY


@pytest.fixture(params=["straight", "through an aiohttp session"])
def way(request, monkeypatch):
    """Send requests straight, and through an aiohttp session, which might have to ask a proxy."""
    monkeypatch.setitem(WAY, "trust_env", request.param != "straight")
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    """TLS for a server on this machine, and the file of whom to trust for it."""
    authority = trustme.CA()
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(theirs)
    trusted = tmp_path_factory.mktemp("authority") / "certificate.pem"
    authority.cert_pem.write_to_path(trusted)
    return theirs, trusted


@pytest.fixture(scope="module", params=["standard library", "extra"])
def contexts(request, certified):
    """TLS for a server on this machine, and for whoever trusts it, with either OpenSSL."""
    theirs, trusted = certified
    if request.param == "extra":
        return theirs, OpenSSLContext(trusted)
    return theirs, ssl.create_default_context(cafile=trusted)
