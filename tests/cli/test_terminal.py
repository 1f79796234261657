"""What people see on a terminal: bars that move, and that leave what is said to be read."""

from __future__ import annotations

import asyncio
import os
import pty
import sys

import pytest

from tests.cli.conftest import COMMAND


@pytest.fixture
def on_a_terminal(tmp_path):
    """Run a command on a terminal; give its exit code and what is seen."""

    async def command(*words, **environment):
        ours, theirs = pty.openpty()
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *map(str, words),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(sys.path),
                "TERM": "xterm",
                "COLUMNS": "100",
                **environment,
            },
        )
        os.close(theirs)
        shown = await asyncio.to_thread(read_all, ours)
        return await process.wait(), shown.decode()

    return command


def read_all(terminal):
    read = b""
    try:
        while piece := os.read(terminal, 65536):
            read += piece
    except OSError:
        # Nobody has the other side open any more.
        pass
    os.close(terminal)
    return read


async def test_an_upload_shows_a_bar_and_then_what_came_of_it(on_a_terminal, tmp_path):
    (tmp_path / "big").write_bytes(bytes(40_000_000))
    code, shown = await on_a_terminal("upload", "big", "--local", "kept")
    assert code == 0, shown
    assert "MiB" in shown or "40.0" in shown
    assert "big" in shown
    code, listed = await on_a_terminal("ls", "--local", "kept")
    assert (code, "big" in listed) == (0, True)


async def test_a_job_shows_how_far_it_is_and_leaves_only_the_end(on_a_terminal, tmp_path, emulator):
    # Long enough for the display to be drawn again.
    emulator.faults.add("upload_file", nth=5, stall=2.5)
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(5):
        (folder / str(number)).write_text(str(number))
    settings = {"DOMO_INSTANCE": emulator.url, "DOMO_ACCESS_TOKEN": emulator.credential("ada")}
    code, shown = await on_a_terminal("bulk", "run", "job", "data", **settings)
    assert code == 0, shown
    assert "of 5 files" in shown
    assert "5 done, 0 were done before" in shown.splitlines()[-1]
    # Standard output and error are the same terminal: the cursor is shown again.
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l")
