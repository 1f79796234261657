"""Uploads whose process is killed, at each write to the journal and at any other time.

Whatever the instant: once somebody has gone on to the end there is exactly one revision with the
right bytes, and no part that the journal knew to be there was sent again.
"""

from __future__ import annotations

import asyncio
import json
import os
import pathlib
import random
import signal
import sqlite3
import sys
from collections import Counter
from contextlib import asynccontextmanager

import pytest

from domo_files_async import Surface, UploadJournal
from domo_files_async.emulator import Emulator

pytestmark = pytest.mark.timeout(60)

BATCH = 10
LANES = 2
MOST_IN_A_ROW = 3
PART = 4096
WRITES = 14
"""About as many as an upload makes; a later one never comes, and the upload ends."""

SECONDS = 0.12
"""About as long as an upload takes."""

KINDS = ("file", "public", "revision", "verified", "simple", "simple revision")
HERE = pathlib.Path(__file__)


class Lane:
    """A warm process that forks uploads."""

    def __init__(self, process):
        self._process = process

    async def run(self, job, *, after=None):
        """Run a job, killed after some seconds if that is asked; give what it said and its end."""
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        pid = (await self._line())["pid"]
        alarm = None
        if after is not None:
            loop = asyncio.get_running_loop()
            alarm = loop.call_later(after, os.kill, pid, signal.SIGKILL)
        said = None
        while "status" not in (line := await self._line()):
            said = line
        if alarm is not None:
            alarm.cancel()
        return said, line["status"]

    async def _line(self):
        return json.loads(await self._process.stdout.readline())


@asynccontextmanager
async def lane():
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE.with_name("child.py")),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[2])},
    )
    try:
        yield Lane(process)
    finally:
        process.kill()
        await process.communicate()


class Trial:
    """One upload, killed once or more, and resumed to the end."""

    def __init__(self, emulator, folder, number, chance):
        self.emulator = emulator
        self.path = folder / f"{number}.journal"
        self.number = number
        self.chance = chance
        self.kind = chance.choice(KINDS)
        self.surface = chance.choice(list(Surface))
        self.source = folder / f"{number}.bin"
        size = chance.randrange(1, 3 * PART) if self.is_simple else chance.randrange(25, 40) * PART
        self.data = chance.randbytes(size)
        self.source.write_bytes(self.data)
        self.kills = 0
        self.runs = 0
        self.base = []
        self.options = {}

    @property
    def is_simple(self):
        return self.kind.startswith("simple")

    def job(self, kill=None):
        self.runs += 1
        return {
            "run": f"trial {self.number} run {self.runs}",
            "url": self.emulator.url,
            "credential": self.emulator.credential("ada"),
            "surface": self.surface.value,
            "journal": str(self.path),
            "source": str(self.source),
            "threshold": 4 * PART,
            "part_size": PART,
            "options": self.options,
            "kill": kill,
        }

    async def prepare(self):
        if self.kind == "public":
            self.options["public"] = True
        if self.kind == "verified":
            self.options["verify"] = "sha256"
        if self.kind.endswith("revision"):
            async with self.emulator.session("ada") as domo:
                made = await domo.upload(b"first", name=f"{self.number}", verify="sha256")
            self.options |= {
                "data_file_id": made.data_file_id,
                "public": self.chance.choice([True, None]),
            }
            self.base = [made.revision_id]

    async def run(self, lane):
        await self.prepare()
        known, deadline = set(), True
        while True:
            kill = after = None
            if deadline and self.kills < MOST_IN_A_ROW and self.chance.random() < 0.8**self.kills:
                if self.chance.random() < 0.6:
                    when = self.chance.choice(["before", "during", "after"])
                    kill = [self.chance.randint(1, 4 if self.is_simple else WRITES), when]
                else:
                    after = self.chance.uniform(0.005, SECONDS)
            else:
                deadline = False
            said, status = await lane.run(self.job(kill), after=after)
            self.check_sent(known)
            if not status:
                assert "error" not in said, said
                break
            assert status == signal.SIGKILL
            self.kills += 1
            # What was on its way may still arrive; nobody resumes that fast.
            while self.emulator.in_flight:
                await asyncio.sleep(0.001)
            async with UploadJournal(self.path) as journal:
                left = await journal.uploads()
            assert not any(one.is_held for one in left)
            if not left and self.revisions():
                # It was finished when it was killed, so it was in the journal before.
                assert self.rows("SELECT seq FROM sqlite_sequence WHERE name = 'uploads'")
                break
            known = self.confirmed(left)

    def confirmed(self, left):
        """Give the parts that the journal knows to be there, as paths of requests."""
        if not left or left[0].session_id is None or left[0].may_be_made:
            return set()
        rows = self.rows("SELECT event FROM events WHERE upload = ?", left[0].id)
        events = [json.loads(text) for (text,) in rows]
        return {
            f"/multipart/{left[0].session_id}/part/{facts[0]}"
            for kind, facts in events
            if kind == "PartAccepted"
        }

    def rows(self, query, *values):
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def mine(self, operation, run=None):
        runs = range(1, self.runs + 1) if run is None else [run]
        agents = {f"trial {self.number} run {one}" for one in runs}
        return [
            one
            for one in self.emulator.requests
            if one.operation == operation and one.headers.get("User-Agent") in agents
        ]

    def check_sent(self, known):
        sent = [one.path for one in self.mine("upload_part", self.runs)]
        assert not [path for path in sent if any(path.endswith(one) for one in known)]

    def revisions(self):
        if self.base:
            return self.emulator.files[self.options["data_file_id"]][len(self.base) :]
        return [one for file in self.files() for one in self.emulator.files[file]]

    def files(self):
        store = self.emulator._store.files
        return [one.id for one in store.values() if one.name == self.source.name]

    async def check(self):
        """Look at what is there now; give how many bytes went in all."""
        async with UploadJournal(self.path) as journal:
            assert await journal.uploads() == []
        assert len(self.revisions()) == 1, (self.kind, self.files())
        (file,) = [self.options["data_file_id"]] if self.base else self.files()
        assert await self.emulator.content(file) == self.data
        public = self.options.get("public", None if self.base else False)
        if public is not None:
            async with self.emulator.session("ada") as domo:
                assert (await domo.get_permissions(file)).public_access is public
        parts = self.mine("upload_part")
        simple = [*self.mine("upload_file"), *self.mine("upload_revision")]
        opened = self.emulator.open_sessions
        # Only one that was opened in the very moment of the kill is lost, before its first part.
        assert not [one for one in parts for session in opened if f"/{session}/" in one.path]
        return sum(one.size for one in (*parts, *simple))


async def test_after_any_kill_there_is_one_revision_with_the_right_bytes(
    batch, tmp_path, record_property
):
    chance = random.Random(batch)  # noqa: S311 - it says what is tried
    seen = Counter()
    async with Emulator() as emulator:

        async def work(number):
            async with lane() as warm:
                while seen["kills"] < BATCH:
                    number += LANES
                    trial = Trial(emulator, tmp_path, number, chance)
                    await trial.run(warm)
                    sent = await trial.check()
                    seen["bytes sent"] += sent
                    seen["bytes"] += len(trial.data)
                    seen["uploads"] += 1
                    seen["kills"] += trial.kills

        async with asyncio.TaskGroup() as group:
            for first in range(LANES):
                group.create_task(work(first))
        seen["multipart sessions lost"] = len(emulator.open_sessions)
    for name, count in seen.items():
        record_property(name, count)
