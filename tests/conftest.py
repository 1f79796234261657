"""What all tests share: no credentials, proxies or instances of whoever runs them."""

import copyreg
import gc

import pytest
from hypothesis import HealthCheck, settings

# With `--hypothesis-profile=same`, a change that is good once is good again, also where it is slow.
settings.register_profile(
    "same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def pytest_collection_finish():
    """Look through what stays to the end no more: that took a quarter of the time of all tests."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    for name in ("DOMO_INSTANCE", "DOMO_ACCESS_TOKEN", "DOMO_URL", "DOMO_APP_SESSION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _errors_are_pickled_as_they_are():
    """Dask changes how all errors of its process are pickled, from its import on."""
    for kind in list(copyreg.dispatch_table):
        if isinstance(kind, type) and issubclass(kind, BaseException):
            del copyreg.dispatch_table[kind]
