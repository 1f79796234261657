"""One cell: a call on a new session, cancelled or not, and all that must hold afterwards."""

import asyncio
import contextlib
import pathlib
import threading
from collections import Counter

import attrs

from domo_files_async import Committed, PartSent, RetryPolicy, TransferConfig
from domo_files_async.transport.limits import Limits

DATA = bytes(range(256)) * 20
LITTLE = b"a little"
QUICK = RetryPolicy(initial_backoff=0.001, max_backoff=0.01)
SMALL = TransferConfig(multipart_threshold=1000, part_size=1000, max_concurrency=3, adaptive=False)
ENDS_WITHIN = 5


@attrs.define(eq=False)
class World:
    """What all cells of a test share.

    Attributes:
        folder: Where sources and destinations are.
        source: A file of DATA.
        large: A file whose parts are read twice where memory is short.
        file_id: A data file with DATA, which uploads may give new revisions.
    """

    emulator: object
    folder: pathlib.Path
    source: pathlib.Path
    large: pathlib.Path
    file_id: int


@attrs.define(eq=False)
class Seen:
    """What is known of one call.

    Attributes:
        parts: How many it sends.
        at: Requests that came to the server before.
        files: Revisions that were there before, by their data files.
        requests: What came to the server.
        events: What the session told.
        transfers: Tasks with transfers that the call has begun.
        jobs: What was handed to the session's threads.
        result: What the call gave; `None` where it was cancelled.
        closed: What a session shared that the call has closed.
        may_commit: Whether the call was asked to commit.
        could_commit: Whether it was by the time of its first cancel.
        had_all: Whether all parts had been sent by then.
    """

    world: World
    steps: object
    parts: int
    at: int
    domo: object = None
    files: dict = attrs.field(factory=dict)
    requests: list = attrs.field(factory=list)
    events: list = attrs.field(factory=list)
    transfers: list = attrs.field(factory=list)
    jobs: list = attrs.field(factory=list)
    result: object = None
    closed: object = None
    is_cancelled: bool = False
    may_commit: bool = True
    could_commit: bool = True
    had_all: bool = False

    def fired(self):
        self.had_all = sum(isinstance(event, PartSent) for event in self.events) == self.parts
        self.could_commit = self.may_commit

    @property
    def name(self):
        """A name of its own, so that nothing that another call left looks like what this made."""
        return f"file {self.at}"

    @property
    def made(self):
        """Ids of the revisions that are new, with their data files."""
        return [
            (file_id, revision_id)
            for file_id, revisions in self.world.emulator.files.items()
            for revision_id in revisions
            if revision_id not in self.files.get(file_id, ())
        ]

    @property
    def ends(self):
        """How often each multipart session was committed and aborted."""
        counted = Counter()
        for request in self.requests:
            if request.operation in {"commit_multipart_session", "abort_multipart_session"}:
                counted[request.operation.partition("_")[0], request.path.split("/")[-2]] += 1
        return counted

    @property
    def opened(self):
        """How many multipart sessions the server opened."""
        return sum(
            request.operation.startswith("create_multipart") and request.status == 200
            for request in self.requests
        )

    @property
    def commits_done(self):
        """How many multipart sessions the server committed."""
        return len(
            {
                request.path
                for request in self.requests
                if request.operation == "commit_multipart_session"
                and (request.status == 200 or (request.fault and request.fault.reset))
            }
        )

    @property
    def committed(self):
        return [event for event in self.events if isinstance(event, Committed)]


async def until(holds):
    """Give the loop its turns until *holds* gives nothing that is missing."""
    try:
        async with asyncio.timeout(ENDS_WITHIN):
            while holds():
                await asyncio.sleep(0)
    except TimeoutError:
        raise AssertionError(f"Not given back: {holds()}") from None


def held(shared):
    """Name what a session still holds."""
    if shared is None:
        return {}
    limits, buffers = shared.limits, shared.buffers
    client = shared.attempts._http._wire._client
    names = {
        "permits": limits.in_flight + limits._leisurely,
        "permits' owners": len(limits._held),
        "light permits": Limits(limits.ceiling).light._value - limits.light._value,
        "urgent permits": Limits(limits.ceiling).urgent._value - limits.urgent._value,
        "memory": buffers.held + buffers._filling,
        "small memory": buffers._small.size - buffers._small._free,
        "memory's fillers": len(buffers._fillers),
        "claims": len(shared.claims._pending),
        "multipart sessions": len(shared.open_sessions),
        "tasks of the session's": len(shared.owned._tasks),
        "connections": len(client.connector._acquired) if client.connector else 0,
    }
    return {name: count for name, count in names.items() if count}


def watched(shared):
    """Give the jobs of a session's threads, as they are handed in."""
    jobs = []
    for pool in (shared.threads.executor, shared.threads._movers):

        def submit(*words, _submit=pool.submit, **more):
            jobs.append(_submit(*words, **more))
            return jobs[-1]

        pool.submit = submit
    return jobs


def open_files():
    """Count what is open: files by their names, sockets together."""
    found = Counter()
    for one in pathlib.Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[str(one.readlink()).partition(":")[0]] += 1
    return found


def running(steps):
    """Name the tasks that are left."""
    return [task for task in steps.tasks if not task.done()]


def our_threads():
    """Name the threads that are left."""
    return [one for one in threading.enumerate() if one.name.startswith("domo-files")]


async def run_cell(world, operation, steps):
    """Run one call, cancel it, and look at all that is left."""
    before = open_files()
    at = len(world.emulator.requests)
    world.emulator.behaviour.ranges = operation.ranges
    for name, words in operation.faults.items():
        world.emulator.faults.add(name, **words)
    seen = Seen(world, steps, operation.parts, at, files=world.emulator.files)
    steps.on_fire = seen.fired
    names = set(world.folder.rglob("*"))
    async with world.emulator.session(
        "ada", retry=QUICK, transfer=operation.transfer, observer=seen.events.append
    ) as domo:
        seen.domo = domo
        shared = domo._shared
        seen.jobs = watched(shared)
        try:
            seen.result = await steps.run(operation.call(domo, seen))
        except asyncio.CancelledError:
            seen.is_cancelled = True
        if seen.is_cancelled:
            # What the session owns may go on, and a journal is closed in any case.
            left = set(running(steps)) - shared.owned._tasks
            left = {task for task in left if "to_thread" not in repr(task.get_coro())}
            assert steps.again != "once" or seen.closed or not left, left
            assert steps.after <= operation.most_after, f"{steps.after} steps after {steps}"
        await until(lambda: running(steps) or held(shared) or held(seen.closed))
        await until(lambda: [job for job in seen.jobs if not job.done()])
        await until(lambda: world.emulator.in_flight)
        world.emulator.faults.clear()
        seen.requests = world.emulator.requests[at:]
        await operation.judge(seen)
        after = await domo.upload(b"after", name="after", verify="none")
        assert await world.emulator.content(after.data_file_id) == b"after"
        await until(lambda: held(shared))
    await until(lambda: our_threads() or open_files() - before)
    assert set(world.folder.rglob("*")) == names
    return seen
