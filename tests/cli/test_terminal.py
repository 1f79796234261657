"""What people see on a terminal: bars that move, and that leave what is said to be read."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
from functools import partial

import pytest

from tests.cli.conftest import COMMAND, surroundings


class Terminal:
    """What a command's standard output and error show."""

    def __init__(self, ours, process):
        self.process = process
        self.shown = ""
        self._ours = ours

    async def until(self, text):
        """Wait until a text is shown."""
        while text not in self.shown:
            piece = await self._read()
            assert piece, self.shown
            self.shown += piece

    async def end(self):
        """Wait for the end; give the exit code."""
        while piece := await self._read():
            self.shown += piece
        return await self.process.wait()

    async def _read(self):
        try:
            return (await asyncio.to_thread(os.read, self._ours, 65536)).decode(errors="replace")
        except OSError:
            # Nobody has the other side open any more.
            return ""


@pytest.fixture
async def on_a_terminal():
    """Start a command whose standard output and error are a terminal."""
    started = []

    async def command(*words, **environment):
        ours, theirs = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *map(str, words),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**surroundings(), "TERM": "xterm", "COLUMNS": "200", **environment},
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )
        os.close(theirs)
        started.append((process, ours))
        return Terminal(ours, process)

    yield command
    for process, ours in started:
        if process.returncode is None:
            process.kill()
        await process.wait()
        os.close(ours)


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.txt").write_text(str(number))
    return folder


def cursor_is_there(shown):
    return shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l")


async def test_an_upload_shows_a_bar(on_a_terminal, tmp_path):
    (tmp_path / "big").write_bytes(bytes(40_000_000))
    terminal = await on_a_terminal("upload", "big", "--local", "kept")
    assert await terminal.end() == 0, terminal.shown
    assert "38.1/38.1 MiB" in terminal.shown
    assert "━━━" in terminal.shown
    assert cursor_is_there(terminal.shown)


async def test_a_job_shows_how_far_it_is_and_leaves_only_the_end(
    on_a_terminal, files, emulator, settings
):
    emulator.faults.add("upload_file", nth=4, times=2, stall=600)
    terminal = await on_a_terminal("bulk", "run", "job", files, **settings)
    await terminal.until("60.0%")
    await terminal.until("3 of 5 files")
    await terminal.until("2 under way")
    emulator.faults.clear()
    terminal.process.send_signal(signal.SIGINT)
    await terminal.until("Parking: what is under way is finished. Ctrl-C again ends at once.")
    terminal.process.send_signal(signal.SIGINT)
    assert await terminal.end() == 130
    # Ended at once, it still gives the cursor back.
    assert cursor_is_there(terminal.shown)
    terminal = await on_a_terminal("bulk", "run", "job", "--settle", "0", **settings)
    assert await terminal.end() == 0
    assert terminal.shown.splitlines()[-1].endswith("2 done, 3 were done before")
    assert cursor_is_there(terminal.shown)


async def test_a_question_that_is_interrupted_ends_with_130_and_deletes_nothing(
    on_a_terminal, emulator, settings
):
    async with emulator.session("ada") as domo:
        data_file_id = await domo.upload_file(b"x", name="x")
    terminal = await on_a_terminal("rm", data_file_id, **settings)
    await terminal.until("[y/N]")
    terminal.process.send_signal(signal.SIGINT)
    assert await terminal.end() == 130
    assert "Interrupted." in terminal.shown
    assert "Aborted" not in terminal.shown
    assert list(emulator.files) == [data_file_id]


async def test_what_fails_is_read_above_the_bar_and_steers_nothing(
    on_a_terminal, files, emulator, settings
):
    (files / "evil\x1b[2J.txt").write_text("x")
    emulator.faults.add("upload_file", status=400, times=None)
    terminal = await on_a_terminal("bulk", "run", "job", files, **settings)
    assert await terminal.end() == 1
    assert "evil\\x1b[2J.txt failed" in terminal.shown
    assert "\x1b[2J" not in terminal.shown
    assert "6 failed" in terminal.shown
