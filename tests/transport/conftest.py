"""What is promised of requests holds whichever way they go."""

from __future__ import annotations

import ssl

import pytest
import trustme

from tests.transport.tools import WAY


@pytest.fixture(params=["straight", "through an aiohttp session"])
def way(request, monkeypatch):
    """Send requests straight, and through an aiohttp session, which might have to ask a proxy."""
    monkeypatch.setitem(WAY, "trust_env", request.param != "straight")
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def contexts():
    """TLS for a server on this machine, and for whoever trusts it."""
    authority = trustme.CA()
    theirs, ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    authority.configure_trust(ours)
    return theirs, ours
