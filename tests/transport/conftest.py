"""What is promised of requests holds whichever way they go."""

from __future__ import annotations

import pytest

from tests.transport.tools import WAY


@pytest.fixture(params=["straight", "through an aiohttp session"])
def way(request, monkeypatch):
    """Send requests straight, and through an aiohttp session, which might have to ask a proxy."""
    monkeypatch.setitem(WAY, "trust_env", request.param != "straight")
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
