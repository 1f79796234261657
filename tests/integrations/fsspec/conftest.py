"""An emulator on fsspec's own loop, and a file system on it that the environment names."""

from __future__ import annotations

import asyncio

import fsspec
import pytest
from fsspec.asyn import get_loop

from domo_files_async.emulator import Emulator
from domo_files_async.fsspec import DomoFileSystem


def on_fsspecs_loop(coroutine):
    return asyncio.run_coroutine_threadsafe(coroutine, get_loop()).result(10)


@pytest.fixture
def wait_for():
    """Run a coroutine on fsspec's loop, as its sync methods do."""
    return on_fsspecs_loop


@pytest.fixture
def emulator(monkeypatch):
    emulator = Emulator()
    on_fsspecs_loop(emulator.__aenter__())
    monkeypatch.setenv("DOMO_INSTANCE", emulator.url)
    monkeypatch.setenv("DOMO_ACCESS_TOKEN", emulator.credential("ada"))
    yield emulator
    try:
        assert not emulator.open_sessions
        assert not emulator.faults.pending
    finally:
        on_fsspecs_loop(emulator.__aexit__(None, None, None))


@pytest.fixture
def domo(emulator):
    fsspec.register_implementation("domo", DomoFileSystem)
    fs = fsspec.filesystem("domo")
    yield fs
    fs.close()
    DomoFileSystem.clear_instance_cache()
