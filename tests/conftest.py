"""What all tests share: no credentials, proxies or instances of whoever runs them."""

import pytest


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in ("DOMO_INSTANCE", "DOMO_ACCESS_TOKEN", "DOMO_URL", "DOMO_APP_SESSION"):
        monkeypatch.delenv(name, raising=False)
