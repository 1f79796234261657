"""The calls that are cancelled, and what each must have left on the server and on the disk."""

from __future__ import annotations

import asyncio
import contextlib
import io
from typing import TYPE_CHECKING

import attrs

from domo_files_async import (
    Grant,
    PartSent,
    PermissionEntry,
    SessionCreated,
    SessionStateError,
    TransferConfig,
    UploadJournal,
)
from tests.cancellation.world import DATA, LITTLE, QUICK, SMALL, until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FAULTY = {
    "create_multipart_session": {"status": 503},
    "upload_part": {"status": 503, "times": 3},
    "commit_multipart_session": {"status": 503},
}
LOST = {"commit_multipart_session": {"reset": "after"}}
LOST_LITTLE = {"upload_file": {"reset": "after"}}


@attrs.frozen
class Operation:
    """One call.

    Attributes:
        call: Makes it, of a session and what is seen.
        judge: Looks at what it left.
        faults: What goes wrong meanwhile.
        transfer: How bytes are moved.
        ranges: Whether the server gives ranges.
        parts: How many it sends.
        most_after: Suspension points of all its tasks, from the first cancel to its end.
    """

    call: Callable[..., Awaitable[object]]
    judge: Callable[..., Awaitable[None]]
    faults: dict = attrs.field(factory=dict)
    transfer: TransferConfig = SMALL
    ranges: bool = True
    parts: int = 6
    most_after: int = 60


async def chunks(data=DATA, size=700):
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def judge_multipart(seen):
    """One revision if the commit had its turn, else none; each multipart session ended once."""
    ends = seen.ends
    assert not seen.world.emulator.open_sessions
    assert all(count == 1 for (end, _), count in ends.items() if end == "abort"), ends
    assert len({session_id for _, session_id in ends}) == seen.opened <= 1
    commits = {session_id for end, session_id in ends if end == "commit"}
    aborts = {session_id for end, session_id in ends if end == "abort"}
    assert not (aborts and seen.committed)
    assert not commits or (seen.had_all and seen.could_commit) or not seen.is_cancelled
    assert len(seen.made) == seen.commits_done <= 1
    if not seen.is_cancelled:
        assert [seen.result.revision_id] == [revision_id for _, revision_id in seen.made]
    await judge_content(seen)


async def judge_simple(seen):
    """One revision at most, and exactly one if it was said to be there."""
    sent = [one for one in seen.requests if one.operation in {"upload_file", "upload_revision"}]
    assert len(seen.made) <= len(sent) <= 1
    assert seen.could_commit or not sent
    if not seen.is_cancelled:
        assert seen.made
    await judge_content(seen)


async def judge_content(seen):
    """What was made is whole."""
    for file_id, revision_id in seen.made:
        content = await seen.world.emulator.content(file_id, revision_id)
        assert content in {DATA, LITTLE, seen.world.large.read_bytes()}


async def judge_nothing(seen):
    """Nothing was asked to be changed."""
    assert not seen.made


def upload(source, **words):
    async def call(domo, seen):
        given = {
            "path": seen.world.source,
            "large": seen.world.large,
            "bytes": DATA,
            "little": LITTLE,
            "stream": chunks(DATA),
            "little stream": chunks(LITTLE),
            "large stream": chunks(seen.world.large.read_bytes(), 100_000),
        }[source]
        return await domo.upload(given, name=seen.name, **words)

    return call


async def upload_read_file(domo, seen):
    with seen.world.source.open("rb") as file:
        return await domo.upload(file, name=seen.name)


def revision(given, **words):
    async def call(domo, seen):
        return await domo.upload(given, data_file_id=seen.world.file_id, **words)

    return call


def open_upload(data, **words):
    async def call(domo, seen):
        seen.may_commit = False
        async with domo.open_upload(seen.name, **words) as writer:
            async for chunk in chunks(data):
                await writer.write(chunk)
            seen.may_commit = True
        return writer.result

    return call


async def upload_with_journal(domo, seen):
    async with UploadJournal(seen.world.folder / "journal") as journal:
        return await domo.upload(seen.world.source, name=seen.name, journal=journal)


async def upload_little_with_journal(domo, seen):
    async with UploadJournal(seen.world.folder / "journal") as journal:
        return await domo.upload(
            seen.world.source, name=seen.name, journal=journal, part_size=len(DATA)
        )


async def go_on_with_journal(domo, seen):
    """Go on with what an earlier run left, which had sent two parts."""
    seen.steps.is_armed = False

    def stop(done):
        if done.parts_done == 2:
            raise _StopError

    async with UploadJournal(seen.world.folder / "journal") as journal:
        with contextlib.suppress(_StopError):
            await domo.upload(seen.world.source, name=seen.name, journal=journal, progress=stop)
        seen.steps.is_armed = True
        return await domo.upload(seen.world.source, name=seen.name, journal=journal)


class _StopError(Exception):
    pass


async def judge_journaled(seen):
    """The next run makes the one revision, whatever the first one left."""
    emulator = seen.world.emulator
    at = len(emulator.requests)
    async with UploadJournal(seen.world.folder / "journal") as journal:
        kept = await journal.uploads()
        assert len(kept) <= seen.is_cancelled
        if kept or not seen.made:
            await seen.domo.upload(seen.world.source, name=seen.name, journal=journal)
        assert await journal.uploads() == []
    seen.requests = [*seen.requests, *emulator.requests[at:]]
    ends = seen.ends
    assert all(count == 1 for (end, _), count in ends.items() if end == "abort"), ends
    assert not emulator.open_sessions
    assert len(seen.made) == 1
    await judge_content(seen)
    for one in seen.world.folder.glob("journal*"):
        one.unlink()


def download(**words):
    async def call(domo, seen):
        return await domo.download(seen.world.file_id, seen.world.folder / "got", **words)

    return call


async def download_into(domo, seen):
    sink = io.BytesIO()
    await domo.download(seen.world.file_id, sink)
    return sink.getvalue()


async def judge_download(seen):
    """It is there as a whole, or not at all."""
    got = seen.world.folder / "got"
    assert got.exists() or seen.is_cancelled
    if got.exists():
        assert got.read_bytes() == DATA
        got.unlink()


async def judge_resumable(seen):
    """What is left is good for the next run."""
    await judge_download(seen)
    got = seen.world.folder / "got"
    await seen.domo.download(seen.world.file_id, got)
    assert got.read_bytes() == DATA
    got.unlink()


async def open_download(domo, seen):
    async with domo.open_download(seen.world.file_id) as stream:
        return await stream.read()


async def judge_read(seen):
    """What came was right."""
    assert seen.is_cancelled or seen.result == DATA


async def change_access(domo, seen):
    entry = PermissionEntry("USER", str(seen.world.emulator.user_id("bo")), Grant.READ)
    await domo.grant_access(seen.world.file_id, entry)
    await domo.revoke_access(seen.world.file_id, ("USER", entry.entity_id))


async def duplicate(domo, seen):
    return await domo.duplicate_file(seen.world.file_id)


async def judge_duplicate(seen):
    """One at most."""
    asked = [one for one in seen.requests if one.operation == "duplicate_file"]
    assert len(seen.made) == len(asked) <= 1


async def close(domo, seen):
    """Leave a session while transfers of all kinds are under way, and none of them goes on."""
    seen.steps.is_armed = False
    world, never = seen.world, asyncio.Event()
    events = seen.events

    async def produce():
        yield DATA
        await never.wait()

    async def write():
        async with closing.open_upload("written") as writer:
            while True:
                await writer.write(DATA)

    async def read():
        async with closing.open_download(world.file_id) as stream:
            async for _ in stream:
                await never.wait()

    class Sink:
        async def write(self, _):
            await never.wait()

    config = attrs.evolve(SMALL, max_concurrency=8, max_upload_bytes_per_second=16_000)
    closing = world.emulator.session("ada", retry=QUICK, transfer=config, observer=events.append)
    await closing.__aenter__()
    seen.closed = closing._shared
    for one in (
        closing.upload(world.large, name="path", part_size=20_000),
        closing.upload(produce(), name="stream"),
        write(),
        read(),
        closing.download(world.file_id, Sink()),
        closing.download(world.file_id, world.folder / "got", resume=False),
    ):
        seen.transfers.append(asyncio.create_task(one))
    await until(lambda: sum(isinstance(event, SessionCreated) for event in events) < 3)
    await until(lambda: not any(isinstance(event, PartSent) for event in events))
    seen.steps.is_armed = True
    await closing.__aexit__(None, None, None)


async def close_while_opening(domo, seen):
    """Leave a session while a multipart session's id is on its way."""
    seen.steps.is_armed = False
    closing = seen.world.emulator.session(
        "ada", retry=QUICK, transfer=SMALL, observer=seen.events.append
    )
    await closing.__aenter__()
    seen.closed = closing._shared
    at = len(seen.world.emulator.requests)
    seen.transfers.append(asyncio.create_task(closing.upload(DATA, name="opening")))
    await until(lambda: len(seen.world.emulator.requests) == at)
    seen.steps.is_armed = True
    await closing.__aexit__(None, None, None)


async def judge_close(seen):
    """All transfers are over, and each multipart session was aborted once."""
    (seen.world.folder / "got").unlink(missing_ok=True)
    assert all(task.done() for task in seen.transfers)
    for task in seen.transfers:
        # Whoever writes is told; all others are cancelled.
        assert task.cancelled() or isinstance(task.exception(), SessionStateError)
    assert seen.closed.attempts._http._wire._client.closed
    assert not seen.world.emulator.open_sessions
    assert not seen.made
    assert [end for end, _ in seen.ends] == ["abort"] * seen.opened, seen.ends
    assert set(seen.ends.values()) == {1}, seen.ends


OPERATIONS = {
    "upload a path": Operation(upload("path"), judge_multipart),
    "upload a path, read twice": Operation(
        upload("large"),
        judge_multipart,
        transfer=attrs.evolve(SMALL, part_size=300_000, memory_budget=1024 * 1024),
    ),
    "upload a stream, short of memory": Operation(
        upload("large stream", part_size=300_000),
        judge_multipart,
        transfer=attrs.evolve(SMALL, memory_budget=1024 * 1024),
        most_after=100,
    ),
    "upload bytes": Operation(upload("bytes", verify="sha256"), judge_multipart),
    "upload a stream": Operation(upload("stream", verify="sha256"), judge_multipart),
    "upload a file object": Operation(upload_read_file, judge_multipart),
    "upload a little": Operation(upload("little"), judge_simple),
    "upload a little stream": Operation(upload("little stream"), judge_simple),
    "upload a revision": Operation(revision(DATA), judge_multipart),
    "upload a little revision": Operation(revision(LITTLE, public=True), judge_simple),
    "upload, made public": Operation(upload("bytes", public=True), judge_multipart),
    "upload, tried again": Operation(upload("path"), judge_multipart, faults=FAULTY),
    "upload, answer lost": Operation(upload("bytes"), judge_multipart, faults=LOST),
    "upload a little, answer lost": Operation(upload("little"), judge_simple, faults=LOST_LITTLE),
    "upload, paced": Operation(
        upload("bytes"),
        judge_multipart,
        transfer=attrs.evolve(SMALL, max_upload_bytes_per_second=10_000_000),
    ),
    "upload with a journal": Operation(upload_with_journal, judge_journaled),
    "upload a little with a journal": Operation(
        upload_with_journal,
        judge_journaled,
        transfer=attrs.evolve(SMALL, multipart_threshold=1_000_000),
    ),
    "go on with a journal": Operation(go_on_with_journal, judge_journaled),
    "write": Operation(open_upload(DATA), judge_multipart),
    "write a little": Operation(open_upload(LITTLE), judge_simple),
    "download ranges": Operation(download(resume=False), judge_download),
    "download ranges, to go on": Operation(download(), judge_resumable),
    "download one stream": Operation(download(resume=False), judge_download, ranges=False),
    "download one stream, to go on": Operation(download(), judge_resumable, ranges=False),
    "download, broken off": Operation(
        download(resume=False), judge_download, faults={"open_download": {"truncate": True}}
    ),
    "download into memory": Operation(download_into, judge_read),
    "open_download": Operation(open_download, judge_read),
    "close": Operation(close, judge_close),
    "close while opening": Operation(
        close_while_opening, judge_close, faults={"create_multipart_session": {"stall": 0.01}}
    ),
    "grant and revoke": Operation(change_access, judge_nothing),
    "duplicate": Operation(duplicate, judge_duplicate),
}
