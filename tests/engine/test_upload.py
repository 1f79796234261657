import asyncio
import hashlib
import io
import os
import tempfile
from pathlib import Path

import aiofiles
import pytest

from domo_files_async import (
    AccessNotSetError,
    AuthenticationError,
    ChecksumMismatchError,
    DomoFilesError,
    DomoFilesSession,
    InvalidArgumentError,
    NotFoundError,
    OutcomeUnknownError,
    PartUploadError,
    PermissionDeniedError,
    Progress,
    RetryPolicy,
    SourceChangedError,
    SourceError,
    SourceTooLargeError,
    Surface,
    Throttled,
    TransferConfig,
)

DATA = bytes(range(256)) * 20  # 5,120 bytes: six parts of 1,000
LARGE = bytes(range(256)) * 300  # 76,800 bytes: too many to be read at once


def operations(emulator):
    return [request.operation for request in emulator.requests]


async def chunks_of(data, size=700):
    for start in range(0, len(data), size):
        yield data[start : start + size]


class AsgiUpload:
    """What Starlette gives for a form's file."""

    def __init__(self, data):
        self.file = tempfile.SpooledTemporaryFile()  # noqa: SIM115 - Starlette closes its own
        self.file.write(data)
        self.file.seek(0)
        self.filename = "report.csv"
        self.content_type = "text/csv"

    async def read(self, size=-1):
        return self.file.read(size)


class NoSeek(io.RawIOBase):
    def __init__(self, data):
        self._left = data

    def readable(self):
        return True

    def readinto(self, view):
        step = self._left[: len(view)]
        view[: len(step)] = step
        self._left = self._left[len(step) :]
        return len(step)


@pytest.fixture
def sources(tmp_path):
    def make(kind, data):
        path = tmp_path / "data.bin"
        path.write_bytes(data)
        return {
            "path": lambda: path,
            "text path": lambda: str(path),
            "bytes": lambda: data,
            "bytearray": lambda: bytearray(data),
            "memoryview": lambda: memoryview(data),
            "file": lambda: path.open("rb"),
            "BytesIO": lambda: io.BytesIO(data),
            "no seek": lambda: NoSeek(data),
            "async iterator": lambda: chunks_of(data),
            "ASGI upload": lambda: AsgiUpload(data),
        }[kind]()

    return make


KINDS = (
    "path",
    "text path",
    "bytes",
    "bytearray",
    "memoryview",
    "file",
    "BytesIO",
    "no seek",
    "async iterator",
    "ASGI upload",
)


@pytest.mark.filterwarnings("ignore:unclosed file")
@pytest.mark.parametrize("size", [0, 1, 999, 1000, 5120])
@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_of_source_arrives_as_it_was(domo, emulator, sources, kind, size):
    data = DATA[:size]
    result = await domo.upload(sources(kind, data), name="a name", verify="sha256")
    assert await emulator.content(result.data_file_id) == data
    assert result.size_bytes == size
    assert result.parts == (0 if size < 1000 else -(-size // 1000))
    assert result.attempts == max(1, result.parts)
    assert result.sha256 == hashlib.sha256(data).hexdigest()
    assert result.revision_id is not None


async def test_an_asynchronous_file_is_read_from_where_it_stands_and_left_open(
    domo, emulator, tmp_path
):
    (tmp_path / "x").write_bytes(b"before" + DATA)
    async with aiofiles.open(tmp_path / "x", "rb") as opened:
        await opened.seek(6)
        result = await domo.upload(opened)
        assert not opened.closed
    assert result.name == "x"
    assert await emulator.content(result.data_file_id) == DATA


async def test_a_file_object_is_read_from_where_it_stands_and_left_open(domo, emulator, tmp_path):
    (tmp_path / "x.csv").write_bytes(b"before" + DATA)
    with (tmp_path / "x.csv").open("rb") as opened:
        opened.seek(6)
        result = await domo.upload(opened)
        assert not opened.closed
    assert (result.name, result.content_type) == ("x.csv", "text/csv")
    assert await emulator.content(result.data_file_id) == DATA


@pytest.mark.parametrize("size", [0, 10, 2500])
async def test_what_the_caller_says_is_what_the_data_file_has(domo, size):
    name = 'a "name" & # + % 100 ; = ? / 🎉 ä'
    result = await domo.upload(
        DATA[:size], name=name, description="line one\nline two & more", content_type="x/y"
    )
    file = await domo.get_file(result.data_file_id, expand=["metadata"])
    assert (file.name, file.metadata.description) == (name, "line one\nline two & more")
    assert file.current_revision.content_type == "x/y"


@pytest.mark.parametrize("public", [None, False, True])
@pytest.mark.parametrize("size", [10, 2500])
async def test_access_is_what_was_asked_for(domo, size, public):
    result = await domo.upload(DATA[:size], name="x", public=public)
    permissions = await domo.get_permissions(result.data_file_id)
    assert permissions.public_access is bool(public)


@pytest.mark.parametrize("size", [10, 2500])
async def test_a_revision_changes_nothing_that_nobody_asked_for(domo, emulator, size):
    first = await domo.upload(
        b"one", name="kept", description="kept too", public=True, content_type="x/y"
    )
    result = await domo.upload(DATA[:size], data_file_id=first.data_file_id)
    file = await domo.get_file(first.data_file_id, expand=["metadata", "revisions"])
    assert (file.name, file.metadata.description) == ("kept", "kept too")
    assert (await domo.get_permissions(first.data_file_id)).public_access
    assert file.current_revision.data_file_revision_id == result.revision_id
    assert file.current_revision.content_type == "x/y"
    assert len(file.revisions) == 2
    assert await emulator.content(first.data_file_id) == DATA[:size]


async def test_a_revision_with_another_name_goes_as_multipart_and_keeps_the_rest(domo):
    first = await domo.upload(b"one", name="old", description="kept")
    result = await domo.upload(b"two", data_file_id=first.data_file_id, name="new", public=True)
    file = await domo.get_file(first.data_file_id, expand=["metadata"])
    assert result.parts == 1
    assert (file.name, file.metadata.description) == ("new", "kept")
    assert (await domo.get_permissions(first.data_file_id)).public_access


@pytest.mark.parametrize("size", [10, 2000])
async def test_a_revision_asks_once_for_what_it_keeps(domo, emulator, size):
    data_file_id = await domo.upload_file(b"x", name="x", content_type="text/csv")
    emulator.requests.clear()
    result = await domo.upload(DATA[:size], data_file_id=data_file_id)
    assert result.content_type == "text/csv"
    assert operations(emulator).count("get_file") == 1


async def test_a_simple_upload_spends_one_request(domo, emulator):
    await domo.upload(b"x", name="x")
    assert operations(emulator) == ["upload_file"]


async def test_a_multipart_upload_spends_a_request_a_part_and_three(domo, emulator):
    await domo.upload(DATA, name="x")
    assert operations(emulator)[0] == "create_multipart_session"
    assert operations(emulator)[1:7] == ["upload_part"] * 6
    assert operations(emulator)[7:9] == ["commit_multipart_session", "get_permissions"]


@pytest.mark.parametrize("verify", ["parts", "none"])
async def test_parts_go_with_their_checksum_unless_told_otherwise(domo, emulator, verify):
    await domo.upload(DATA, name="x", verify=verify)
    sent = {r.path[-1]: r.query.get("checksum") for r in emulator.requests if "/part/" in r.path}
    expected = hashlib.sha256(DATA[:1000]).hexdigest() if verify == "parts" else None
    assert sent["1"] == expected


@pytest.mark.parametrize(
    "arguments",
    [
        {"source": b"x"},
        {"source": b"x", "name": ""},
        {"source": b"x", "name": "a\nb"},
        {"source": b"x", "name": "a", "content_type": "text/csv\r\nX: y"},
        {"source": b"x", "name": "a", "verify": "md5"},
        {"source": b"x", "name": "a", "part_size": 0},
        {"source": b"x" * 10_001, "name": "a", "part_size": 1},
        {"source": b"x", "name": "a", "data_file_id": -1},
        {"source": io.StringIO("x"), "name": "a"},
        {"source": 5, "name": "a"},
    ],
)
async def test_what_cannot_be_sent_is_refused_before_anything_is(domo, emulator, arguments):
    with pytest.raises(InvalidArgumentError):
        await domo.upload(**arguments)
    assert emulator.requests == []


async def test_a_missing_file_is_said_to_be_missing(domo, emulator, tmp_path):
    with pytest.raises(SourceError, match="No such file"):
        await domo.upload(tmp_path / "none")
    with pytest.raises(SourceError, match=r"[Dd]irectory"):
        await domo.upload(tmp_path)
    assert emulator.requests == []


@pytest.mark.timeout(120)
async def test_ten_thousand_parts_are_taken_and_one_more_is_refused(emulator, tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as made:
        made.truncate(10_000)
    config = TransferConfig(multipart_threshold=1)
    async with emulator.session("ada", transfer=config) as domo:
        result = await domo.upload(path, part_size=1)
        assert result.parts == 10_000
        assert await emulator.content(result.data_file_id) == bytes(10_000)
        result = await domo.upload(chunks_of(bytes(10_000), 1000), name="x", part_size=1)
        assert result.parts == 10_000
        with path.open("ab") as made:
            made.write(b"x")
        before = len(emulator.requests)
        with pytest.raises(InvalidArgumentError, match="at least 2"):
            await domo.upload(path, part_size=1)
        assert len(emulator.requests) == before


@pytest.mark.timeout(120)
async def test_a_stream_that_outgrows_its_parts_is_aborted(emulator):
    async def endless():
        while True:
            yield b"x" * 1000

    async with emulator.session("ada", transfer=TransferConfig(multipart_threshold=1)) as domo:
        with pytest.raises(SourceTooLargeError, match="part_size"):
            await domo.upload(endless(), name="x", part_size=1)
    assert not emulator.files


async def test_a_part_that_fails_twice_is_sent_again_and_counted_once(domo, emulator):
    seen = []
    emulator.faults.add("upload_part", part=3, status=503, times=2)
    result = await domo.upload(DATA, name="x", progress=seen.append)
    assert result.attempts == 8
    assert await emulator.content(result.data_file_id) == DATA
    assert [one.bytes_done for one in seen] == sorted({one.bytes_done for one in seen})
    assert seen[-1] == Progress(5120, 5120, 6, 6)


@pytest.mark.parametrize("status", [400, 403, 404, 413])
async def test_a_part_that_is_refused_for_good_ends_it_at_once(domo, emulator, status):
    emulator.faults.add("upload_part", part=2, status=status)
    with pytest.raises(PartUploadError) as caught:
        await domo.upload(DATA, name="x")
    assert (caught.value.index, caught.value.attempts) == (2, 1)
    assert caught.value.cause.status == status
    assert operations(emulator).count("abort_multipart_session") == 1
    assert "commit_multipart_session" not in operations(emulator)


async def test_a_part_out_of_attempts_aborts_and_says_which(domo, emulator):
    emulator.faults.add("upload_part", part=2, status=500, times=5)
    with pytest.raises(PartUploadError) as caught:
        await domo.upload(DATA, name="x")
    assert (caught.value.index, caught.value.attempts) == (2, 5)
    assert operations(emulator).count("abort_multipart_session") == 1
    assert "commit_multipart_session" not in operations(emulator)
    assert not emulator.files


async def test_an_abort_that_fails_does_not_hide_why(domo, emulator):
    emulator.faults.add("upload_part", part=1, status=400)
    emulator.faults.add("abort_multipart_session", status=400)
    with pytest.raises(PartUploadError):
        await domo.upload(DATA, name="x")
    (left,) = emulator.open_sessions
    await domo.abort_multipart_session(left)


async def test_a_credential_that_fails_when_it_aborts_does_not_hide_why(emulator):
    class Vault:
        is_open = True

        async def headers(self):
            if not self.is_open:
                raise RuntimeError("The vault is closed")
            return {"X-DOMO-Developer-Token": emulator.credential("ada")}

        async def refresh(self):
            return False

    vault, seen = Vault(), []

    def observer(event):
        seen.append(type(event).__name__)
        vault.is_open = "RequestFinished" not in seen or event.status != 403

    emulator.faults.add("upload_part", part=1, status=403)
    config = TransferConfig(multipart_threshold=1000, part_size=10_000)
    async with DomoFilesSession(
        emulator.url, auth=vault, transfer=config, observer=observer
    ) as domo:
        with pytest.raises(PartUploadError):
            await domo.upload(DATA, name="x")
        assert seen[-2:] == ["AbortFailed", "TransferFailed"]
        vault.is_open = True
        (left,) = emulator.open_sessions
        await domo.abort_multipart_session(left)


async def test_a_credential_that_is_refused_comes_out_as_it_is(domo, emulator):
    emulator.faults.add("upload_part", part=1, status=401)
    with pytest.raises(AuthenticationError):
        await domo.upload(DATA, name="x")


async def test_bytes_damaged_on_the_way_are_sent_again(domo, emulator):
    emulator.faults.add("upload_part", part=2, corrupt=True, times=2)
    result = await domo.upload(DATA, name="x")
    assert result.attempts == 8
    assert await emulator.content(result.data_file_id) == DATA


async def test_bytes_that_are_always_damaged_say_so(domo, emulator):
    emulator.faults.add("upload_part", part=2, corrupt=True, times=5)
    with pytest.raises(PartUploadError, match="checksum") as caught:
        await domo.upload(DATA, name="x")
    assert isinstance(caught.value.cause, ChecksumMismatchError)
    assert ("dev proxy" in str(caught.value)) is (domo.surface is Surface.APP)


@pytest.mark.parametrize("reset", ["before", "body", "after"])
async def test_a_part_whose_connection_drops_is_sent_again(domo, emulator, reset):
    emulator.faults.add("upload_part", part=4, reset=reset)
    result = await domo.upload(DATA, name="x")
    assert await emulator.content(result.data_file_id) == DATA


@pytest.mark.parametrize("lag", [0, 2])
@pytest.mark.parametrize("revise", [False, True])
async def test_a_commit_whose_answer_is_lost_makes_one_revision(domo, emulator, lag, revise):
    before = await domo.upload(b"before", name="x") if revise else None
    emulator.behaviour.visibility_lag = lag
    emulator.faults.add("commit_multipart_session", reset="after")
    target = {"data_file_id": before.data_file_id} if revise else {"name": "x"}
    result = await domo.upload(DATA, **target)
    assert sum(map(len, emulator.files.values())) == (2 if revise else 1)
    assert emulator.files[result.data_file_id][-1] == result.revision_id
    assert await emulator.content(result.data_file_id) == DATA


async def test_a_commit_that_never_arrived_is_sent_again(domo, emulator):
    emulator.faults.add("commit_multipart_session", reset="before")
    result = await domo.upload(DATA, name="x")
    assert emulator.files == {result.data_file_id: [result.revision_id]}
    assert operations(emulator).count("commit_multipart_session") == 2


@pytest.mark.parametrize("status", [500, 503])
async def test_a_commit_that_the_server_failed_on_is_found_out_about(domo, emulator, status):
    emulator.faults.add("commit_multipart_session", status=status)
    result = await domo.upload(DATA, name="x")
    assert emulator.files == {result.data_file_id: [result.revision_id]}


async def test_a_commit_that_is_refused_is_an_error_and_an_abort(domo, emulator):
    emulator.faults.add("commit_multipart_session", status=403)
    with pytest.raises(PermissionDeniedError):
        await domo.upload(DATA, name="x")
    assert operations(emulator).count("abort_multipart_session") == 1


async def test_a_commit_that_cannot_be_found_out_about_is_said_to_be_unknown(domo, emulator):
    emulator.behaviour.visibility_lag = 1000
    emulator.faults.add("commit_multipart_session", reset="after")
    with pytest.raises(OutcomeUnknownError) as caught:
        await domo.upload(DATA, name="x")
    assert caught.value.operation == "commit_multipart_session"
    assert caught.value.session_id
    assert "abort_multipart_session" not in operations(emulator)


@pytest.mark.parametrize("lag", [0, 2])
@pytest.mark.parametrize("revise", [False, True])
async def test_a_simple_upload_whose_answer_is_lost_makes_one_revision(domo, emulator, lag, revise):
    before = await domo.upload(b"same", name="x")
    emulator.behaviour.visibility_lag = lag
    operation = "upload_revision" if revise else "upload_file"
    emulator.faults.add(operation, reset="after")
    target = {"data_file_id": before.data_file_id} if revise else {"name": "x"}
    result = await domo.upload(b"same", **target)
    assert sum(map(len, emulator.files.values())) == 2
    assert operations(emulator).count(operation) == (1 if revise else 2)
    assert (result.data_file_id == before.data_file_id) is revise


@pytest.mark.parametrize("fault", [{"reset": "before"}, {"status": 503}, {"maintenance": True}])
async def test_a_simple_upload_that_left_no_trace_is_unknown_and_never_repeated(
    domo, emulator, fault
):
    emulator.faults.add("upload_file", **fault)
    with pytest.raises(OutcomeUnknownError, match="nothing like it"):
        await domo.upload(b"x", name="x")
    assert operations(emulator).count("upload_file") == 1


async def test_another_upload_of_the_same_is_no_evidence(domo, emulator):
    emulator.faults.add("upload_file", nth=2, reset="before")
    first = await domo.upload(b"same", name="x")
    with pytest.raises(OutcomeUnknownError):
        await domo.upload(b"same", name="x")
    assert list(emulator.files) == [first.data_file_id]


async def test_a_rate_limit_silences_the_whole_session(emulator):
    seen = []
    emulator.faults.add("upload_part", part=2, status=429, headers={"Retry-After": "1"})
    config = TransferConfig(multipart_threshold=1000, part_size=1000)
    async with emulator.session("ada", transfer=config, observer=seen.append) as domo:
        loop = asyncio.get_running_loop()
        silence = []
        uploading = asyncio.create_task(domo.upload(DATA, name="x"))
        while not any(isinstance(event, Throttled) for event in seen):
            await asyncio.sleep(0)
        began = loop.time()
        in_flight = emulator.in_flight
        await domo.list_files()
        silence.append(loop.time() - began)
        await uploading
    assert silence[0] > 0.9
    assert in_flight <= 6


async def test_a_retry_after_that_is_too_long_ends_it_at_once(emulator):
    emulator.faults.add("upload_file", status=429, headers={"Retry-After": "1000"})
    async with emulator.session("ada") as domo:
        with pytest.raises(Exception, match="429") as caught:
            await domo.upload(b"x", name="x")
    assert caught.value.retry_after == 1000


async def test_a_file_that_changes_while_it_is_read_is_not_committed(domo, emulator, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(LARGE)

    def change(_):
        path.write_bytes(LARGE + b"more")

    with pytest.raises(SourceChangedError):
        await domo.upload(path, progress=change, part_size=20_000)
    assert not emulator.files


async def test_a_small_file_is_sent_as_it_was_when_the_upload_began(domo, emulator, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(DATA)
    result = await domo.upload(path, progress=lambda _: path.write_bytes(b"other"))
    assert result.parts == 6
    assert await emulator.content(result.data_file_id) == DATA


async def test_a_file_of_the_system_that_says_it_is_empty_is_read_nevertheless(domo, emulator):
    path = Path("/proc/self/limits")
    result = await domo.upload(path)
    limits = await asyncio.to_thread(path.read_bytes)
    assert await emulator.content(result.data_file_id) == limits


async def test_a_file_that_shrinks_while_it_is_read_is_not_committed(emulator, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(LARGE)
    config = TransferConfig(multipart_threshold=1000, part_size=1000, max_concurrency=1)
    async with emulator.session("ada", transfer=config) as domo:
        with pytest.raises(SourceChangedError):
            await domo.upload(path, progress=lambda _: os.truncate(path, 100))
    assert not emulator.files


async def test_an_error_of_the_producer_comes_out_as_it_is(domo, emulator):
    async def broken():
        yield DATA
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await domo.upload(broken(), name="x")
    assert not emulator.files


async def test_an_error_in_the_progress_function_ends_the_upload(domo, emulator):
    def fail(_):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await domo.upload(DATA, name="x", progress=fail)
    assert not emulator.files


async def test_access_that_cannot_be_set_is_told_with_the_data_file(domo, emulator):
    emulator.faults.add("get_permissions", status=403)
    with pytest.raises(AccessNotSetError) as caught:
        await domo.upload(DATA, name="x", public=True)
    assert emulator.files == {caught.value.data_file_id: [caught.value.revision_id]}
    assert "abort_multipart_session" not in operations(emulator)


async def test_what_the_server_stored_otherwise_is_noticed(domo, emulator):
    emulator.faults.add("upload_part", part=1, corrupt=True)

    async def go():
        return await domo.upload(DATA, name="x", verify="none")

    result = await go()
    emulator.faults.add("get_file", body="[]", status=404)
    assert await emulator.content(result.data_file_id) != DATA
    with pytest.raises(NotFoundError):
        await domo.get_file(result.data_file_id)


async def test_a_whole_that_differs_from_what_is_stored_is_a_mismatch(domo, emulator):
    result = await domo.upload(b"fine", name="x", verify="sha256")
    assert result.sha256 == hashlib.sha256(b"fine").hexdigest()
    emulator.faults.add("upload_file", corrupt=True)
    with pytest.raises(ChecksumMismatchError, match="stored other bytes") as caught:
        await domo.upload(b"fine", name="y", verify="sha256")
    assert caught.value.data_file_id in emulator.files
    assert caught.value.expected == result.sha256
    assert caught.value.actual not in {None, result.sha256}


async def test_a_source_that_changes_once_it_is_stored_is_told_with_the_data_file(
    emulator, tmp_path
):
    path = tmp_path / "x"
    path.write_bytes(bytes(15_000_000))
    # Too large to be held, so that it is read once more for its digest.
    config = TransferConfig(memory_budget=1024 * 1024)
    async with emulator.session("ada", transfer=config) as domo:
        with pytest.raises(ChecksumMismatchError, match="was uploaded") as caught:
            await domo.upload(path, verify="sha256", progress=lambda _: os.truncate(path, 9))
    assert [caught.value.data_file_id] == list(emulator.files)
    assert "nothing was committed" not in str(caught.value)


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 403}, {"body": "[", "status": 200}])
@pytest.mark.parametrize("size", [10, 2000])
async def test_what_was_uploaded_and_could_not_be_compared_is_told(domo, emulator, size, fault):
    for operation in ("get_file", "list_revisions"):
        emulator.faults.add(operation, times=None, **fault)
    with pytest.raises(ChecksumMismatchError, match="wasn't compared") as caught:
        await domo.upload(DATA[:size], name="y", verify="sha256")
    emulator.faults.clear()
    (made,) = emulator.files
    assert caught.value.data_file_id == made
    assert caught.value.expected == hashlib.sha256(DATA[:size]).hexdigest()
    assert caught.value.actual is None
    assert isinstance(caught.value.__cause__, DomoFilesError)


async def test_a_stream_has_the_parts_that_were_asked_for(emulator):
    config = TransferConfig(multipart_threshold=1000)
    async with emulator.session("ada", transfer=config) as domo:
        await domo.upload(chunks_of(DATA[:2000], 97), name="x", part_size=700)
    sizes = [one.size for one in emulator.requests if one.operation == "upload_part"]
    assert sorted(sizes) == [600, 700, 700]


async def test_the_name_of_a_revisions_source_may_be_any_where_it_is_not_sent(domo, tmp_path):
    data_file_id = await domo.upload_file(b"x", name="x")
    path = tmp_path / "two\nlines"
    path.write_bytes(b"y")
    assert (await domo.upload(path, data_file_id=data_file_id)).data_file_id == data_file_id
    with pytest.raises(InvalidArgumentError, match="name"):
        await domo.upload(path)


async def test_parts_larger_than_the_memory_share_are_read_twice(emulator, tmp_path):
    data = os.urandom(5 * 1024 * 1024)
    path = tmp_path / "x"
    path.write_bytes(data)
    config = TransferConfig(multipart_threshold=1, memory_budget=1024 * 1024)
    async with emulator.session("ada", transfer=config) as domo:
        emulator.faults.add("upload_part", part=2, status=503)
        result = await domo.upload(path, part_size=2_000_000, verify="sha256")
    assert result.sha256 == hashlib.sha256(data).hexdigest()
    assert result.parts == 3


async def test_a_large_simple_upload_is_streamed(emulator, tmp_path):
    data = os.urandom(3 * 1024 * 1024)
    path = tmp_path / "x"
    path.write_bytes(data)
    config = TransferConfig(memory_budget=1024 * 1024)
    for surface in Surface:
        async with emulator.session("ada", transfer=config, surface=surface) as domo:
            result = await domo.upload(path)
        assert result.parts == 0
        assert await emulator.content(result.data_file_id) == data


async def test_many_uploads_share_one_budget(emulator, tmp_path):
    data = os.urandom(1024 * 1024)
    (tmp_path / "x").write_bytes(data)
    config = TransferConfig(multipart_threshold=1, part_size=200_000, memory_budget=1024 * 1024)
    async with emulator.session("ada", transfer=config) as domo:
        sources = [tmp_path / "x", data, chunks_of(data, 50_000), chunks_of(data, 300_000)] * 3
        sources[6:8] = [chunks_of(data, 50_000), chunks_of(data, 300_000)]
        sources[10:12] = [chunks_of(data, 50_000), chunks_of(data, 300_000)]
        results = await asyncio.gather(*(domo.upload(one, name="x") for one in sources))
    for result in results:
        assert await emulator.content(result.data_file_id) == data


async def test_producers_that_stall_hold_only_what_they_gave(emulator):
    data = os.urandom(1024 * 1024)
    forever = asyncio.Event()

    async def stalling():
        yield b"x" * 1000
        await forever.wait()

    config = TransferConfig(multipart_threshold=500_000, memory_budget=1024 * 1024)
    async with emulator.session("ada", transfer=config) as domo:
        stalled = [asyncio.create_task(domo.upload(stalling(), name="s")) for _ in range(20)]
        for _ in range(50):
            await asyncio.sleep(0)
        result = await domo.upload(chunks_of(data, 100_000), name="x")
        assert await emulator.content(result.data_file_id) == data
        for task in stalled:
            task.cancel()
        await asyncio.gather(*stalled, return_exceptions=True)


async def test_retries_are_none_with_one_attempt(emulator):
    emulator.faults.add("upload_part", part=1, status=503)
    config = TransferConfig(multipart_threshold=1, part_size=1000)
    policy = RetryPolicy(max_attempts=1)
    async with emulator.session("ada", transfer=config, retry=policy) as domo:
        with pytest.raises(PartUploadError) as caught:
            await domo.upload(DATA, name="x")
    assert caught.value.attempts == 1
