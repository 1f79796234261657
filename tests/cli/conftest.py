"""The command line in this process, and as a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from dataclasses import dataclass
from functools import partial

import pytest

from domo_files_async.cli.app import main
from domo_files_async.emulator import Emulator

COMMAND = (sys.executable, "-c", "from domo_files_async.cli.app import main; main()")


def surroundings():
    """Give the variables that a process of its own needs to find this package."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self):
        """Standard output as NDJSON; whatever else is there is an error."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Whoever runs the tests may have a file of credentials.
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DOMO_CREDENTIALS_FILE", raising=False)


@pytest.fixture
def run(capsys, monkeypatch):
    """Run a command in this process."""

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["domo-files", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Ended(ended.value.code or 0, said.out, said.err)

    return command


@pytest.fixture
def local(run, tmp_path):
    """Run a command on an emulator that is kept in a folder."""

    def command(*words):
        return run(*words, "--local", tmp_path / "kept")

    return command


@pytest.fixture
async def emulator():
    async with Emulator() as running:
        yield running


@pytest.fixture
def settings(emulator):
    """Give the variables that name the emulator."""
    return {"DOMO_INSTANCE": emulator.url, "DOMO_ACCESS_TOKEN": emulator.credential("ada")}


@pytest.fixture
async def start():
    """Start a command as a process; what is still running at the end is killed."""
    started = []

    async def command(*words, **environment):
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *map(str, words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**surroundings(), **environment},
            # Whoever runs these tests in the background ignores the signal, and so would it.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )
        started.append(process)
        return process

    yield command
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ended(process, given=None):
    out, err = await process.communicate(given)
    return Ended(process.returncode, out.decode(), err.decode())


@pytest.fixture
def finish():
    """Give a process its input, and wait for how it ends."""
    return ended
