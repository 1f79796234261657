"""What the pytest plugin's fixtures take to start: an emulator and a session on it."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile

from benchmarks.bench import ROOT, Bench, Check, Result, Spread

TESTS = 20
MOST = 100.0
TEST = f"""
import pytest

@pytest.mark.asyncio
@pytest.mark.parametrize("number", range({TESTS}))
async def test(domo_session, number):
    await domo_session.upload(b"x", name="x")
"""
WATCH = """
def pytest_runtest_logreport(report):
    if report.when == "setup":
        print("\\nsetup", 1000 * report.duration)
"""
PLUGINS = ("-p", "asyncio", "-p", "domo_files_async.pytest_plugin", "-p", "watch")


def measure(bench: Bench) -> Result:
    first: list[float] = []
    later: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "test_plugin.py").write_text(TEST)
        (folder / "watch.py").write_text(WATCH)
        for _ in range(max(bench.repeats, 5)):
            took = _setups(folder)
            first.append(took[0])
            later += took[1:]
    spreads = {"the first, imports included": Spread.of(first), "each later one": Spread.of(later)}
    print("\nms: median (least to greatest)")
    for name, spread in spreads.items():
        print(f"{name:45} {spread}")
    return Result(
        figures={name: {"ms": spread.__dict__} for name, spread in spreads.items()},
        checks=[
            Check(
                f"the plugin's fixtures start in less than {MOST:g} ms",
                f"{spreads['each later one']} ms",
                spreads["each later one"].median < MOST,
            )
        ],
    )


def _setups(folder: pathlib.Path) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-s", "-q", "-p", "no:cacheprovider", *PLUGINS],
        check=True,
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=120,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    return [float(words[1]) for words in lines if words[:1] == ["setup"]]
