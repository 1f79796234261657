"""Uploads that go on in a later run: what is sent again, what isn't, and what the file survives."""

import asyncio
import concurrent.futures
import contextlib
import gc
import io
import os
import pathlib
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections import Counter

import aiofiles
import pytest

from domo_files_async import (
    AccessNotSetError,
    InvalidArgumentError,
    JournalError,
    OutcomeUnknownError,
    Parked,
    PartUploadError,
    PermissionDeniedError,
    Resumed,
    RetryPolicy,
    SourceChangedError,
    Surface,
    TransferConfig,
    UploadJournal,
)
from domo_files_async.emulator import Emulator
from domo_files_async.engine.journal import Draft
from domo_files_async.engine.target import Sent, Target
from domo_files_async.planning import ledger as deeds

pytestmark = pytest.mark.timeout(20)

QUICK = RetryPolicy(initial_backoff=0.001, max_backoff=0.01)
SMALL = TransferConfig(multipart_threshold=1000, part_size=1000)

DATA = bytes(range(256)) * 41
PARTS = 11


class StopError(Exception):
    """What a caller's progress function may raise."""


def stop_after(parts):
    def progress(done):
        if done.parts_done >= parts:
            raise StopError

    return progress


@pytest.fixture(params=Surface, ids=lambda surface: surface.value)
def surface(request):
    return request.param


@pytest.fixture
async def journal(tmp_path):
    async with UploadJournal(tmp_path / "uploads.journal") as opened:
        yield opened


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "orders.bin"
    path.write_bytes(DATA)
    return path


@pytest.fixture
def sent(emulator):
    """Count the requests that arrived since the last time."""
    seen = 0

    def count():
        nonlocal seen
        new, seen = emulator.requests[seen:], len(emulator.requests)
        return Counter(one.operation for one in new)

    return count


async def park(domo, journal, source, *, parts=4, **options):
    with pytest.raises(StopError):
        await domo.upload(source, journal=journal, progress=stop_after(parts), **options)
    (left,) = await journal.uploads()
    return left


async def test_only_parts_that_were_not_confirmed_are_sent_again(
    domo, emulator, journal, source, sent
):
    left = await park(domo, journal, source)
    assert left.parts_done >= 4
    assert (left.parts_total, left.size, left.path) == (PARTS, len(DATA), str(source))
    assert emulator.open_sessions == [left.session_id]
    before = sent()
    done = []
    result = await domo.upload(source, journal=journal, progress=done.append)
    after = sent()
    assert after["upload_part"] == PARTS - left.parts_done
    assert before["upload_part"] + after["upload_part"] >= PARTS
    assert after["create_multipart_session"] == after["abort_multipart_session"] == 0
    assert await emulator.content(result.data_file_id) == DATA
    assert list(emulator.files.values()) == [[result.revision_id]]
    assert (result.parts, result.size_bytes, result.name) == (PARTS, len(DATA), "orders.bin")
    assert result.attempts == PARTS
    assert (done[0].bytes_done, done[0].parts_done) == (left.bytes_done, left.parts_done)
    assert [one.bytes_done for one in done] == sorted(one.bytes_done for one in done)
    assert (done[-1].bytes_done, done[-1].parts_done) == (len(DATA), PARTS)
    assert await journal.uploads() == []


async def test_a_later_session_goes_on_with_what_a_failure_parked(emulator, journal, source, sent):
    events = []
    emulator.faults.add("upload_part", part=7, status=503, times=5)
    options = {"retry": QUICK, "transfer": SMALL, "observer": events.append}
    async with emulator.session("ada", **options) as domo:
        with pytest.raises(PartUploadError):
            await domo.upload(source, journal=journal)
    (parked,) = [one for one in events if isinstance(one, Parked)]
    assert emulator.open_sessions == [parked.session_id]
    sent()
    async with emulator.session("ada", **options) as domo:
        result = await domo.upload(source, journal=journal, verify="sha256")
    (resumed,) = [one for one in events if isinstance(one, Resumed)]
    assert resumed.session_id == parked.session_id
    assert sent()["upload_part"] == PARTS - resumed.parts_done
    assert await emulator.content(result.data_file_id) == DATA


async def test_leaving_the_session_parks_what_is_under_way(emulator, journal, source):
    emulator.faults.add("upload_part", part=3, stall=30)
    async with emulator.session("ada", retry=QUICK, transfer=SMALL) as domo:
        task = asyncio.create_task(domo.upload(source, journal=journal))
        while not emulator.faults.met:
            await asyncio.sleep(0.001)
    assert task.cancelled()
    (left,) = await journal.uploads()
    assert emulator.open_sessions == [left.session_id]
    assert not left.is_held
    async with emulator.session("ada", retry=QUICK, transfer=SMALL) as domo:
        result = await domo.upload(source, journal=journal)
    assert await emulator.content(result.data_file_id) == DATA


@pytest.mark.parametrize("size", [500, len(DATA)], ids=["simple", "multipart"])
async def test_cancelled_at_any_time_it_goes_on_to_one_revision(
    domo, emulator, journal, tmp_path, size
):
    ends = Counter()
    for turns in range(0, 120, 4):
        path = tmp_path / f"{turns}"
        path.write_bytes(DATA[:size])
        task = asyncio.create_task(domo.upload(path, journal=journal))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        ends[task.cancelled()] += 1
        if task.cancelled():
            while emulator.in_flight:
                await asyncio.sleep(0.001)
            await domo.upload(path, journal=journal)
    files = await domo.list_files()
    assert Counter(file.name for file in files) == {f"{turns}": 1 for turns in range(0, 120, 4)}
    assert ends[True] > 10
    assert await journal.uploads() == []


async def test_a_failure_for_good_aborts_and_leaves_the_journal(
    domo, emulator, journal, source, sent
):
    emulator.faults.add("upload_part", part=5, status=403)
    with pytest.raises(PartUploadError) as caught:
        await domo.upload(source, journal=journal)
    assert isinstance(caught.value.cause, PermissionDeniedError)
    assert sent()["abort_multipart_session"] == 1
    assert emulator.open_sessions == []
    assert await journal.uploads() == []


def shorter(source):
    source.write_bytes(DATA[:-1])


def touched(source):
    os.utime(source, ns=(1, 1))


def replaced(source):
    other = source.with_suffix(".new")
    other.write_bytes(bytes(reversed(DATA)))
    status = source.stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(source)


@pytest.mark.parametrize("change", [shorter, touched, replaced])
async def test_a_changed_source_starts_afresh_and_aborts_what_was(
    domo, emulator, journal, source, sent, change
):
    left = await park(domo, journal, source)
    change(source)
    sent()
    result = await domo.upload(source, journal=journal)
    after = sent()
    assert (after["upload_part"], after["abort_multipart_session"]) == (PARTS, 1)
    assert left.session_id not in emulator.open_sessions
    assert await emulator.content(result.data_file_id) == source.read_bytes()
    assert await journal.uploads() == []


async def test_what_could_not_be_aborted_stays_in_the_journal(domo, emulator, journal, source):
    left = await park(domo, journal, source)
    touched(source)
    emulator.faults.add("abort_multipart_session", status=400)
    await domo.upload(source, journal=journal)
    assert [one.session_id for one in await journal.uploads()] == [left.session_id]
    assert left.session_id in emulator.open_sessions
    await domo.upload(source, journal=journal)
    assert await journal.uploads() == []
    assert left.session_id not in emulator.open_sessions


async def test_what_the_server_has_no_more_leaves_the_journal(domo, emulator, journal, source):
    left = await park(domo, journal, source)
    touched(source)
    await domo.abort_multipart_session(left.session_id)
    emulator.faults.add("abort_multipart_session", status=404)
    await domo.upload(source, journal=journal)
    assert await journal.uploads() == []


@pytest.mark.parametrize(
    "other",
    [{"name": "b"}, {"description": "d"}, {"content_type": "text/csv"}, {"part_size": 2000}],
    ids=lambda other: next(iter(other)),
)
async def test_another_target_or_part_size_starts_afresh_and_aborts_what_was(
    domo, emulator, journal, source, sent, other
):
    await park(domo, journal, source)
    sent()
    result = await domo.upload(source, journal=journal, **other)
    after = sent()
    assert (after["create_multipart_session"], after["abort_multipart_session"]) == (1, 1)
    assert result.parts == (6 if "part_size" in other else PARTS)
    assert await emulator.content(result.data_file_id) == DATA
    assert await journal.uploads() == []


async def test_another_instance_leaves_what_was_as_it_is(domo, emulator, journal, source):
    left = await park(domo, journal, source)
    async with Emulator() as other, other.session("ada", retry=QUICK, transfer=SMALL) as elsewhere:
        await elsewhere.upload(source, journal=journal)
        assert len(other.files) == 1
    assert [one.id for one in await journal.uploads()] == [left.id]
    await domo.upload(source, journal=journal)


@pytest.mark.parametrize("status", [404, 409, 410])
async def test_a_lost_multipart_session_starts_afresh_once(
    domo, emulator, journal, source, sent, status
):
    left = await park(domo, journal, source)
    emulator.faults.add("upload_part", session_id=left.session_id, status=status, times=None)
    sent()
    done = []
    result = await domo.upload(source, journal=journal, progress=done.append)
    assert sent()["create_multipart_session"] == 1
    assert await emulator.content(result.data_file_id) == DATA
    assert [one.bytes_done for one in done] == sorted(one.bytes_done for one in done)
    assert done[-1].bytes_done == len(DATA)
    emulator.faults.clear()


async def test_a_second_loss_is_an_error(domo, emulator, journal, source, sent):
    await park(domo, journal, source)
    emulator.faults.add("upload_part", status=404, times=None)
    sent()
    with pytest.raises(PartUploadError):
        await domo.upload(source, journal=journal)
    assert sent()["create_multipart_session"] == 1
    assert emulator.open_sessions == []
    assert await journal.uploads() == []
    emulator.faults.clear()


async def test_a_multipart_session_that_is_lost_at_the_commit_starts_afresh(
    domo, emulator, journal, source, sent
):
    await park(domo, journal, source, parts=PARTS)
    emulator.faults.add("commit_multipart_session", status=404)
    sent()
    result = await domo.upload(source, journal=journal)
    after = sent()
    assert (after["upload_part"], after["commit_multipart_session"]) == (PARTS, 2)
    assert list(emulator.files) == [result.data_file_id]


@pytest.mark.parametrize("parted", ["before", "after"])
async def test_a_commit_whose_answer_nobody_saw_is_looked_for_first(
    domo, emulator, journal, source, sent, parted
):
    # It is cancelled once the connection has died, and before anybody looked.
    emulator.faults.add("commit_multipart_session", reset=parted)
    emulator.faults.add("list_files", stall=30)
    emulator.faults.add("get_current_user", stall=30) if domo.surface is Surface.PRODUCT else None
    task = asyncio.create_task(domo.upload(source, journal=journal))
    while len(emulator.faults.met) < 2:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    emulator.faults.clear()
    (left,) = await journal.uploads()
    assert left.may_be_made
    assert len(emulator.files) == (parted == "after")
    sent()
    result = await domo.upload(source, journal=journal)
    after = sent()
    assert after["upload_part"] == 0
    assert after["commit_multipart_session"] == (parted == "before")
    assert list(emulator.files.items()) == [(result.data_file_id, [result.revision_id])]
    assert await emulator.content(result.data_file_id) == DATA
    assert await journal.uploads() == []


@pytest.mark.parametrize("verify", ["parts", "sha256"])
async def test_a_commit_of_the_same_name_and_size_is_not_taken_for_the_lost_one(
    domo, emulator, journal, source, verify
):
    emulator.faults.add("commit_multipart_session", status=500, times=None)
    emulator.faults.add("list_files", status=503, times=None)
    with pytest.raises(OutcomeUnknownError):
        await domo.upload(source, journal=journal)
    emulator.faults.clear()
    async with emulator.session("ada", surface=domo.surface) as other:
        await other.upload(bytes(reversed(DATA)), name="orders.bin")
    result = await domo.upload(source, journal=journal, verify=verify)
    assert await emulator.content(result.data_file_id) == DATA
    assert len(emulator.files) == 2


async def test_what_may_be_made_is_not_made_again_in_other_parts(
    domo, emulator, journal, source, sent
):
    emulator.faults.add("commit_multipart_session", reset="after")
    emulator.faults.add("list_files", status=503, times=None)
    with pytest.raises(OutcomeUnknownError):
        await domo.upload(source, journal=journal)
    emulator.faults.clear()
    (left,) = await journal.uploads()
    assert left.may_be_made
    sent()
    result = await domo.upload(source, journal=journal, part_size=3000)
    assert sent()["upload_part"] == 0
    assert list(emulator.files) == [result.data_file_id]


async def test_what_may_be_made_stays_for_whoever_asks_for_that_target_again(
    domo, emulator, journal, source
):
    emulator.faults.add("commit_multipart_session", reset="after")
    emulator.faults.add("list_files", status=503, times=None)
    with pytest.raises(OutcomeUnknownError):
        await domo.upload(source, journal=journal, name="a")
    emulator.faults.clear()
    await domo.upload(source, journal=journal, name="b")
    assert len(await journal.uploads()) == 1
    await domo.upload(source, journal=journal, name="a")
    assert len(emulator.files) == 2
    assert await journal.uploads() == []


async def test_a_refused_commit_that_can_be_mended_is_parked(domo, emulator, journal, source, sent):
    emulator.faults.add("commit_multipart_session", status=429, times=5)
    with pytest.raises(Exception, match="429"):
        await domo.upload(source, journal=journal)
    assert len(emulator.open_sessions) == 1
    sent()
    await domo.upload(source, journal=journal)
    after = sent()
    assert (after["upload_part"], after["commit_multipart_session"]) == (0, 1)
    assert after["list_files"] == 0


async def test_access_that_could_not_be_set_is_all_that_is_left_to_do(
    domo, emulator, journal, source, sent
):
    emulator.faults.add("get_permissions", status=503, times=5)
    with pytest.raises(AccessNotSetError):
        await domo.upload(source, journal=journal, public=True)
    (left,) = await journal.uploads()
    assert left.may_be_made
    sent()
    result = await domo.upload(source, journal=journal, public=True)
    after = sent()
    assert after["upload_part"] == after["commit_multipart_session"] == 0
    assert (await domo.get_permissions(result.data_file_id)).public_access
    assert list(emulator.files.values()) == [[result.revision_id]]
    assert await journal.uploads() == []


async def test_access_that_is_refused_for_good_leaves_the_journal(domo, emulator, journal, source):
    emulator.faults.add("get_permissions", status=403)
    with pytest.raises(AccessNotSetError):
        await domo.upload(source, journal=journal, public=True)
    assert await journal.uploads() == []


async def test_a_verification_that_could_not_be_done_is_all_that_is_left_to_do(
    domo, emulator, journal, source, sent
):
    emulator.faults.add("get_file", status=500, times=None)
    with pytest.raises(Exception, match="500"):
        await domo.upload(source, journal=journal, verify="sha256")
    emulator.faults.clear()
    assert len(await journal.uploads()) == 1
    sent()
    result = await domo.upload(source, journal=journal, verify="sha256")
    assert set(sent()) <= {"get_file"}
    assert list(emulator.files.values()) == [[result.revision_id]]
    assert await journal.uploads() == []


async def test_a_file_that_was_stored_wrong_leaves_the_journal(domo, emulator, journal, source):
    emulator.faults.add("get_file", body='{"dataFileId": 1}', status=200)
    with pytest.raises(Exception, match="missing"):
        await domo.upload(source, journal=journal, verify="sha256")
    assert await journal.uploads() == []


@pytest.mark.parametrize("reset", ["before", "after"])
async def test_a_simple_upload_is_looked_for_before_it_is_sent_again(
    domo, emulator, journal, sent, reset
):
    emulator.faults.add("upload_file", reset=reset)
    emulator.faults.add("list_files", status=503, times=None)
    with pytest.raises(OutcomeUnknownError):
        await domo.upload(b"small", name="s", journal=journal)
    emulator.faults.clear()
    (left,) = await journal.uploads()
    assert (left.parts_total, left.session_id, left.may_be_made) == (0, None, True)
    sent()
    result = await domo.upload(b"small", name="s", journal=journal, verify="sha256")
    assert sent()["upload_file"] == (reset == "before")
    assert len(emulator.files) == 1
    assert await emulator.content(result.data_file_id) == b"small"
    assert (result.parts, result.attempts) == (0, 1)
    assert await journal.uploads() == []


async def test_a_simple_revision_is_looked_for_and_its_access_is_set(
    domo, emulator, journal, source, sent
):
    first = await domo.upload(source)
    small = source.with_name("small")
    small.write_bytes(b"small")
    emulator.faults.add("upload_revision", reset="after")
    emulator.faults.add("get_file", status=503, times=None)
    options = {"data_file_id": first.data_file_id, "public": True, "content_type": "text/plain"}
    with pytest.raises(OutcomeUnknownError):
        await domo.upload(small, journal=journal, **options)
    emulator.faults.clear()
    sent()
    result = await domo.upload(small, journal=journal, **options)
    assert sent()["upload_revision"] == 0
    assert emulator.files == {first.data_file_id: [first.revision_id, result.revision_id]}
    assert (await domo.get_permissions(first.data_file_id)).public_access


async def test_a_simple_upload_that_can_not_be_told_from_another_stays_unknown(
    domo, emulator, journal
):
    emulator.faults.add("upload_file", reset="after")
    emulator.faults.add("list_files", status=503, times=None)
    with pytest.raises(OutcomeUnknownError):
        await domo.upload(b"small", name="s", journal=journal)
    emulator.faults.clear()
    async with emulator.session("ada", retry=QUICK, surface=domo.surface) as other:
        await other.upload(b"small", name="s")
    with pytest.raises(OutcomeUnknownError, match="only one can be"):
        await domo.upload(b"small", name="s", journal=journal)
    assert len(await journal.uploads()) == 1
    assert len(emulator.files) == 2


async def test_a_simple_upload_writes_once_before_and_once_after(domo, journal, monkeypatch):
    await domo.upload(b"first", name="s", journal=journal)
    statements = []
    journal._file._connection.set_trace_callback(statements.append)
    await domo.upload(b"second", name="s", journal=journal)
    await journal.uploads()
    changes = [one.split()[0] for one in statements if one.startswith(("INSERT", "UPDATE"))]
    assert changes == ["INSERT"]


@pytest.mark.parametrize("status", [400, 403, 413])
async def test_a_simple_upload_that_is_refused_leaves_the_journal(domo, emulator, journal, status):
    emulator.faults.add("upload_file", status=status)
    with pytest.raises(Exception, match=str(status)):
        await domo.upload(b"small", name="s", journal=journal)
    assert await journal.uploads() == []


async def test_a_simple_upload_may_go_on_as_a_multipart_one(emulator, journal, source):
    emulator.faults.add("upload_file", reset="before")
    emulator.faults.add("list_files", status=503, times=None)
    async with emulator.session("ada", retry=QUICK) as domo:
        with pytest.raises(OutcomeUnknownError):
            await domo.upload(source, journal=journal)
    emulator.faults.clear()
    async with emulator.session("ada", retry=QUICK, transfer=SMALL) as domo:
        result = await domo.upload(source, journal=journal)
    assert (result.parts, len(emulator.files)) == (PARTS, 1)
    assert await journal.uploads() == []


async def test_what_has_parts_goes_on_in_parts_whatever_the_threshold_is_now(
    domo, emulator, journal, source, sent
):
    left = await park(domo, journal, source)
    async with emulator.session("ada", surface=domo.surface) as later:
        sent()
        result = await later.upload(source, journal=journal)
    assert sent()["upload_part"] == PARTS - left.parts_done
    assert result.parts == PARTS


async def test_a_revision_goes_on_and_keeps_what_nobody_asked_to_change(
    domo, emulator, journal, source, sent
):
    first = await domo.upload(b"first", name="kept", description="as it was")
    left = await park(domo, journal, source, data_file_id=first.data_file_id)
    assert left.name == "kept"
    sent()
    result = await domo.upload(source, journal=journal, data_file_id=first.data_file_id)
    assert sent()["upload_part"] == PARTS - left.parts_done
    assert result.name == "kept"
    file = await domo.get_file(first.data_file_id, expand=["revisions", "metadata"])
    assert (file.name, file.metadata.description) == ("kept", "as it was")
    assert len(file.revisions) == 2
    assert await emulator.content(first.data_file_id) == DATA


class OneByOne:
    async def __aiter__(self):
        yield DATA


async def test_a_stream_is_refused_before_anything_is_sent(domo, emulator, journal, tmp_path):
    with pytest.raises(InvalidArgumentError, match="read again"):
        await domo.upload(OneByOne(), name="s", journal=journal)
    assert emulator.requests == []
    assert list(tmp_path.iterdir()) == []


async def test_a_path_in_place_of_a_journal_is_refused(domo, emulator, source, tmp_path):
    with pytest.raises(InvalidArgumentError, match="UploadJournal"):
        await domo.upload(source, journal=tmp_path / "j")
    assert emulator.requests == []


@pytest.mark.parametrize("path", ["", "a\0b", b"bytes", 7, None])
def test_what_can_not_be_a_path_is_refused(path):
    with pytest.raises(InvalidArgumentError):
        UploadJournal(path)


def opened(path):
    return path.open("rb")


def in_memory(path):
    return io.BytesIO(path.read_bytes())


def spooled(path):
    file = tempfile.SpooledTemporaryFile()  # noqa: SIM115 - the same
    file.write(path.read_bytes())
    file.seek(0)
    return file


def as_bytes(path):
    return bytearray(path.read_bytes())


@pytest.mark.parametrize("make", [opened, in_memory, spooled, as_bytes])
async def test_whatever_can_be_read_again_goes_on(domo, emulator, journal, source, sent, make):
    first = make(source)
    left = await park(domo, journal, first, name="n")
    again = make(source)
    sent()
    result = await domo.upload(again, journal=journal, name="n")
    assert sent()["upload_part"] == PARTS - left.parts_done
    assert await emulator.content(result.data_file_id) == DATA
    for file in (first, again):
        if hasattr(file, "close"):
            file.close()


async def test_an_asynchronous_file_goes_on(domo, emulator, journal, source, sent):
    async with aiofiles.open(source, "rb") as file:
        left = await park(domo, journal, file, name="n")
        await file.seek(0)
        sent()
        await domo.upload(file, journal=journal, name="n")
    assert sent()["upload_part"] == PARTS - left.parts_done


async def test_a_file_object_goes_on_from_where_it_stands(domo, emulator, journal, source, sent):
    with source.open("rb") as file:
        file.seek(500)
        await park(domo, journal, file)
        file.seek(0)
        sent()
        result = await domo.upload(file, journal=journal)
    assert sent()["upload_part"] == PARTS
    assert await emulator.content(result.data_file_id) == DATA
    (left,) = await journal.uploads()
    with source.open("rb") as file:
        file.seek(500)
        await domo.upload(file, journal=journal)
    assert sent()["upload_part"] == left.parts_total - left.parts_done


async def test_a_source_that_is_replaced_while_it_is_opened_is_not_sent(
    domo, emulator, journal, source
):
    class Replaced(os.PathLike):
        """A path that leads to another file the second time."""

        asked = 0

        def __fspath__(self):
            self.asked += 1
            if self.asked == 3:
                touched(source)
            return str(source)

    with pytest.raises(SourceChangedError, match="while it was opened"):
        await domo.upload(Replaced(), name="n", journal=journal)
    assert emulator.requests == []


async def test_the_same_upload_twice_at_once_is_refused(domo, emulator, journal, source):
    emulator.faults.add("upload_part", part=2, stall=30)
    first = asyncio.create_task(domo.upload(source, journal=journal))
    while not emulator.faults.met:
        await asyncio.sleep(0.001)
    async with UploadJournal(journal.path) as other:
        for one in (journal, other):
            with pytest.raises(JournalError, match="already"):
                await domo.upload(source, journal=one)
        (left,) = await other.uploads()
        assert left.is_held
        with pytest.raises(JournalError, match="under way"):
            await other.forget(left.id)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await domo.upload(source, journal=journal)
    assert len(emulator.files) == 1


async def test_the_same_upload_again_by_another_journal_is_another_upload(
    domo, emulator, journal, source
):
    for _ in range(3):
        await domo.upload(source, journal=UploadJournal(journal.path))
    assert len(emulator.files) == 3


async def test_the_same_small_upload_twice_at_once_is_made_once(domo, emulator, journal):
    both = [domo.upload(b"small", name="s", journal=journal) for _ in range(2)]
    ends = await asyncio.gather(*both, return_exceptions=True)
    assert Counter(type(end).__name__ for end in ends)["UploadResult"] == len(emulator.files)
    assert {type(end) for end in ends if isinstance(end, Exception)} <= {JournalError}
    assert await journal.uploads() == []


async def test_many_uploads_share_a_journal(domo, emulator, journal, tmp_path):
    paths = [tmp_path / f"{number}" for number in range(30)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * (number * 200))
    async with UploadJournal(journal.path) as other:
        results = await asyncio.gather(
            *(
                domo.upload(path, journal=(journal, other)[number % 2])
                for number, path in enumerate(paths)
            )
        )
        await journal.aclose()
        assert await other.uploads() == []
    for path, result in zip(paths, results, strict=True):
        assert await emulator.content(result.data_file_id) == path.read_bytes()


async def test_the_files_are_for_their_owner_only_and_hold_no_credential(
    domo, emulator, journal, source, tmp_path
):
    await park(domo, journal, source)
    files = [path for path in tmp_path.iterdir() if path != source]
    assert {path.name.partition("uploads.journal")[2][:7] for path in files} == {
        "",
        "-wal",
        "-shm",
        "-owner-",
    }
    secret = emulator.credential("ada").encode()
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert secret not in path.read_bytes()
    await domo.upload(source, journal=journal)
    await journal.aclose()
    assert sorted(tmp_path.iterdir()) == [source, journal.path]


def garbage(path):
    path.write_bytes(b"This is no database, but somebody's only copy of a letter." * 99)


def foreign(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE letters (text)")
    connection.close()


def newer(path):
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def cut(path):
    path.write_bytes(path.read_bytes()[:5000])


def overwritten(path):
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))


def senseless(path):
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE events SET event = '[\"Exploded\", []]' WHERE number = 2")
    connection.close()


def impossible(path):
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM events WHERE number = 1")
    connection.close()


@pytest.mark.parametrize(
    ("damage", "made"),
    [
        (garbage, False),
        (foreign, False),
        (newer, True),
        (cut, True),
        (overwritten, True),
        (senseless, True),
        (impossible, True),
    ],
)
async def test_a_damaged_file_is_an_error_that_names_it_and_is_not_overwritten(
    domo, emulator, tmp_path, source, damage, made, sent
):
    path = tmp_path / "damaged"
    if made:
        async with UploadJournal(path) as journal:
            left = await park(domo, journal, source)
        await domo.abort_multipart_session(left.session_id)
    damage(path)
    before = path.read_bytes()
    sent()
    async with UploadJournal(path) as journal:
        with pytest.raises(JournalError, match="damaged"):
            await domo.upload(source, journal=journal)
        with pytest.raises(JournalError, match=str(path)):
            await journal.uploads()
    assert sent() == {}
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == sorted([path, source])


async def test_an_empty_file_is_a_new_journal(domo, tmp_path):
    # A process may be killed between making it and writing to it.
    path = tmp_path / "empty"
    path.touch()
    async with UploadJournal(path) as journal:
        assert await journal.uploads() == []


async def test_a_folder_that_is_not_there_is_an_error_before_anything_is_sent(
    domo, emulator, tmp_path, source
):
    async with UploadJournal(tmp_path / "missing" / "j") as journal:
        with pytest.raises(JournalError, match="missing"):
            await domo.upload(source, journal=journal)
    assert emulator.requests == []


async def test_a_journal_that_can_not_be_written_any_more_commits_nothing(
    domo, emulator, journal, source
):
    def sabotage(done):
        if done.parts_done == 3:
            with sqlite3.connect(journal.path) as connection:
                connection.execute("DROP TABLE events")
            connection.close()

    with pytest.raises(JournalError, match=r"can't be used|take down"):
        await domo.upload(source, journal=journal, progress=sabotage)
    assert emulator.files == {}
    assert emulator.open_sessions == []


async def test_a_closed_journal_says_so(domo, emulator, journal, source):
    await journal.uploads()
    await journal.aclose()
    await journal.aclose()
    with pytest.raises(JournalError, match="closed"):
        await domo.upload(source, journal=journal)
    assert emulator.requests == []


async def test_a_journal_that_nobody_closes_is_closed_with_its_last_reference(
    domo, tmp_path, source
):
    await domo.upload(source, journal=UploadJournal(tmp_path / "j"))
    gc.collect()
    while len(list(tmp_path.iterdir())) > 2:
        await asyncio.sleep(0.001)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["j", "orders.bin"]


def test_a_journal_may_be_collected_while_an_executor_starts_a_thread(tmp_path):
    journal = UploadJournal(tmp_path / "j")
    asyncio.run(journal.uploads())
    # A new thread is made in there, so the garbage collector may well run in there.
    with concurrent.futures.thread._global_shutdown_lock:
        collected = threading.Thread(target=journal._closing, daemon=True)
        collected.start()
        collected.join(10)
        assert not collected.is_alive()


def test_what_was_handed_in_is_written_though_the_process_ends_without_closing(tmp_path):
    code = """if True:
        import sys
        from pathlib import Path
        from domo_files_async.engine.journal_file import JournalFile

        file = JournalFile(Path(sys.argv[1]))
        for number in range(1000):
            file.hand_in(lambda c, n=number: c.execute(f"PRAGMA user_version = {n + 1}"))
        """
    subprocess.run(  # noqa: S603
        [sys.executable, "-c", code, tmp_path / "j"], check=True, timeout=50
    )
    with contextlib.closing(sqlite3.connect(tmp_path / "j")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1000,)


async def test_what_is_forgotten_is_gone(domo, emulator, journal, source):
    left = await park(domo, journal, source)
    await journal.forget(left.id)
    await journal.forget(left.id)
    assert await journal.uploads() == []
    await domo.abort_multipart_session(left.session_id)


async def test_ten_thousand_parts_are_written_in_few_transactions(journal, emulator):
    draft = Draft(
        instance="i", surface="app", identity='["path", "/x", 0]', fingerprint="f",
        target=Target(), size=10_000, part_size=1,
    )  # fmt: skip
    entry = journal.entry(draft)
    entry.sent = Sent(name="n", description=None, content_type="t")
    await entry.write(deeds.SessionOpened("s"))
    commits = []
    journal._file._connection.set_trace_callback(
        lambda one: commits.append(one) if one == "COMMIT" else None
    )
    for index in range(1, 10_001):
        entry.note(deeds.PartAccepted(index, 1, "ab" * 32))
        if index % 100 == 0:
            await asyncio.sleep(0)
    (left,) = await journal.uploads()
    assert (left.parts_done, left.bytes_done) == (10_000, 10_000)
    assert len(commits) < 1000
    entry.drop()
    assert await journal.uploads() == []


HOLDER = """
import asyncio, os, sys, warnings
from domo_files_async import SessionStateError, UploadJournal
from domo_files_async.engine.journal import Draft
from domo_files_async.engine.target import Sent, Target
from domo_files_async.planning.ledger import SessionOpened

warnings.simplefilter("ignore", DeprecationWarning)

async def main():
    async with UploadJournal(sys.argv[1]) as journal:
        draft = Draft(instance="i", surface="app", identity='["path", "/x", 0]', fingerprint="f",
                      target=Target(), size=10, part_size=1)
        entry = journal.entry(draft)
        entry.sent = Sent(name="n", description=None, content_type="t")
        await entry.write(SessionOpened("s"))
        if "fork" in sys.argv and not os.fork():
            try:
                await journal.uploads()
            except SessionStateError as error:
                print("refused" if "another process" in str(error) else error, flush=True)
            sys.stdin.read()
            os._exit(0)
        if "fork" not in sys.argv:
            print("held", flush=True)
        sys.stdin.read()

asyncio.run(main())
"""


@pytest.mark.parametrize("word", ["held", "fork"])
async def test_what_another_process_holds_is_free_at_once_when_that_is_killed(
    journal, emulator, word
):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLDER, str(journal.path), word),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])},
    )
    try:
        said = await process.stdout.readline()
        # A child that it has forked can't use the journal, and doesn't hold it.
        assert said == {"held": b"held\n", "fork": b"refused\n"}[word]
        (left,) = await journal.uploads()
        assert left.is_held
        with pytest.raises(JournalError, match="under way"):
            await journal.forget(left.id)
        process.kill()
        while left.is_held:
            (left,) = await journal.uploads()
        await journal.forget(left.id)
    finally:
        if process.returncode is None:
            process.kill()
        # A forked child reads until its end.
        process.stdin.close()
        await process.communicate()
