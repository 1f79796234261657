"""Uploads in processes that may be killed: a warm process forks one for each line that it reads.

A job is a line of JSON. The answers are lines, too: the process's id, what it did if it lived to
say it, and how it ended.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from dataclasses import dataclass

from domo_files_async import (
    AppSession,
    DeveloperToken,
    DomoFilesSession,
    RetryPolicy,
    TransferConfig,
    UploadJournal,
)
from domo_files_async.engine.journal_file import JournalFile

PAUSE = 0.03


@dataclass
class Deadline:
    """Kills this process at the nth write to the journal: before it, at its commit, or after it."""

    nth: int
    when: str

    def install(self):
        write, connect = JournalFile.write, JournalFile._open
        deadline = self

        def counted(file, group):
            deadline.nth -= 1
            if deadline.when == "before" and not deadline.nth:
                # Whoever doesn't wait for the write goes on meanwhile.
                time.sleep(PAUSE)
                die()
            write(file, group)
            if deadline.when == "after" and not deadline.nth:
                die()

        def traced(file):
            connection = connect(file)
            connection.set_trace_callback(deadline.look)
            return connection

        JournalFile.write, JournalFile._open = counted, traced

    def look(self, statement):
        if statement == "COMMIT" and self.when == "during" and not self.nth:
            die()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


async def upload(job):
    auth = {"app": AppSession, "product": DeveloperToken}[job["surface"]](job["credential"])
    async with (
        UploadJournal(job["journal"]) as journal,
        DomoFilesSession(
            job["url"],
            auth=auth,
            user_agent=job["run"],
            retry=RetryPolicy(initial_backoff=0.005, max_backoff=0.05),
            transfer=TransferConfig(
                multipart_threshold=job["threshold"],
                part_size=job["part_size"],
                max_concurrency=4,
            ),
        ) as domo,
    ):
        result = await domo.upload(job["source"], journal=journal, **job["options"])
        return {"data_file_id": result.data_file_id, "revision_id": result.revision_id}


def work(job):
    if job["kill"] is not None:
        Deadline(*job["kill"]).install()
    try:
        said = asyncio.run(upload(job))
    except Exception as error:
        said = {"error": repr(error)}
    say(said)


def say(value):
    os.write(1, json.dumps(value).encode() + b"\n")


def main():
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            # What the parent has buffered isn't the child's to read.
            os.close(0)
            try:
                work(json.loads(line))
            finally:
                os._exit(0)
        say({"pid": pid})
        _, status = os.waitpid(pid, 0)
        say({"status": status})


if __name__ == "__main__":
    main()
