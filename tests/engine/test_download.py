import asyncio
import errno
import hashlib
import io
import os
import threading

import aiofiles
import pytest

from domo_files_async import (
    AuthenticationError,
    ChecksumMismatchError,
    DestinationError,
    DeveloperToken,
    DomoFilesSession,
    InvalidArgumentError,
    MaintenanceError,
    NotFoundError,
    PermissionDeniedError,
    Progress,
    RetryPolicy,
    SessionStateError,
    Surface,
    TransferConfig,
    TransportError,
    UnexpectedResponseError,
)
from domo_files_async.engine import partial as partial_module
from tests.servers import ScriptedServer, answer

DATA = os.urandom(300_000)


def names_in(folder):
    return [path.name for path in folder.iterdir()]


class AsyncSink:
    def __init__(self):
        self.data = b""

    async def write(self, data):
        self.data += data


@pytest.fixture(params=Surface, ids=lambda surface: surface.value)
async def domo(request, emulator):
    policy = RetryPolicy(initial_backoff=0.001, max_backoff=0.01)
    async with emulator.session("ada", surface=request.param, retry=policy) as session:
        yield session


@pytest.fixture
async def data_file_id(domo):
    return (await domo.upload(DATA, name='"../a:b"?.csv', part_size=100_000)).data_file_id


async def test_a_file_appears_complete_and_verified(domo, data_file_id, tmp_path):
    seen = []
    result = await domo.download(data_file_id, tmp_path / "x", progress=seen.append)
    assert (tmp_path / "x").read_bytes() == DATA
    assert result.sha256 == hashlib.sha256(DATA).hexdigest()
    assert (result.path, result.size_bytes) == (tmp_path / "x", len(DATA))
    assert result.revision_id is not None
    assert seen[-1] == Progress(len(DATA), len(DATA), 0, 0)
    assert names_in(tmp_path) == ["x"]


async def test_into_a_directory_it_has_its_own_name_made_safe(domo, data_file_id, tmp_path):
    result = await domo.download(data_file_id, tmp_path)
    assert result.path.parent == tmp_path
    assert names_in(tmp_path) == [result.path.name]
    assert not set('/:"?') & set(result.path.name)


async def test_a_writable_gets_the_bytes(domo, data_file_id):
    plain, asynchronous = io.BytesIO(), AsyncSink()
    assert (await domo.download(data_file_id, plain)).path is None
    await domo.download(data_file_id, asynchronous)
    assert plain.getvalue() == asynchronous.data == DATA


class HandingSink(AsyncSink):
    def write(self, data):
        return super().write(data)


async def test_a_plain_function_that_writes_later_is_refused_in_words(domo, data_file_id):
    with pytest.raises(InvalidArgumentError, match="`async def`"):
        await domo.download(data_file_id, HandingSink())


async def test_an_empty_file_is_a_file(domo, tmp_path):
    uploaded = await domo.upload(b"", name="x")
    result = await domo.download(uploaded.data_file_id, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b""
    assert result.size_bytes == 0


async def test_an_earlier_revision_can_be_asked_for(domo, data_file_id, tmp_path):
    first = (await domo.get_file(data_file_id)).current_revision.data_file_revision_id
    await domo.upload(b"second", data_file_id=data_file_id)
    await domo.download(data_file_id, tmp_path / "now")
    result = await domo.download(data_file_id, tmp_path / "then", revision_id=first)
    assert (tmp_path / "now").read_bytes() == b"second"
    assert (tmp_path / "then").read_bytes() == DATA
    assert result.revision_id == first


async def test_what_came_is_put_on_the_disk_meanwhile(domo, data_file_id, tmp_path, monkeypatch):
    flushed, sync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: flushed.append(os.fstat(fd).st_size) or sync(fd))
    monkeypatch.setattr(partial_module, "_FLUSH_EVERY", 1)
    await domo.download(data_file_id, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    assert len(flushed) > 1


async def test_what_the_disk_could_not_keep_is_not_published(
    domo, data_file_id, tmp_path, monkeypatch
):
    sync, failures = os.fsync, [OSError(errno.EIO, "Input/output error")]

    def fail_once(fd):
        # The system tells of a failure once, whoever asks first.
        if failures:
            raise failures.pop()
        sync(fd)

    monkeypatch.setattr(os, "fsync", fail_once)
    monkeypatch.setattr(partial_module, "_FLUSH_EVERY", 1)
    with pytest.raises(DestinationError, match="Input/output error"):
        await domo.download(data_file_id, tmp_path / "x", resume=False)
    assert not failures
    assert list(tmp_path.iterdir()) == []


async def test_who_leaves_does_not_wait_for_the_disk(emulator, data_file_id, tmp_path, monkeypatch):
    waits, released = [True], threading.Event()

    def wait_once(_fd):
        if waits:
            waits.clear()
            assert released.wait(30)

    def stop(_progress):
        raise LookupError("enough")

    monkeypatch.setattr(os, "fsync", wait_once)
    monkeypatch.setattr(partial_module, "_FLUSH_EVERY", 1)
    ranges = TransferConfig(multipart_threshold=1000, part_size=10_000, max_concurrency=1)
    async with emulator.session("ada", transfer=ranges) as domo:
        try:
            with pytest.raises(LookupError):
                await domo.download(data_file_id, tmp_path / "x", progress=stop, resume=False)
            assert list(tmp_path.iterdir()) == []
            with pytest.raises(LookupError):
                await domo.download(data_file_id, tmp_path / "x", progress=stop)
            assert len(list(tmp_path.iterdir())) == 1
            before = len(emulator.requests)
            await domo.download(data_file_id, tmp_path / "x")
            asked = [one for one in emulator.requests[before:] if one.operation == "open_download"]
            assert not asked[0].headers["range"].startswith("bytes=0-")
            assert (tmp_path / "x").read_bytes() == DATA
            assert len(list(tmp_path.iterdir())) == 1
        finally:
            released.set()


async def test_small_uploads_go_on_while_the_disk_is_busy_with_downloads(
    domo, data_file_id, tmp_path, monkeypatch
):
    released, sync = threading.Event(), os.fsync
    flushing = []

    def wait_while_flushing(fd):
        flushing.append(fd)
        assert released.wait(30)
        sync(fd)

    monkeypatch.setattr(os, "fsync", wait_while_flushing)
    monkeypatch.setattr(partial_module, "_FLUSH_EVERY", 1)
    # Publishing waits in a thread, too: three of four are taken by it.
    downloads = [
        asyncio.create_task(domo.download(data_file_id, tmp_path / str(n))) for n in range(3)
    ]
    try:
        (tmp_path / "small").write_bytes(b"abc")
        async with asyncio.timeout(20):
            while not flushing:
                await asyncio.sleep(0)
            await domo.upload(tmp_path / "small")
    finally:
        released.set()
    await asyncio.gather(*downloads)


async def test_what_exists_is_left_as_it_is(domo, data_file_id, tmp_path):
    (tmp_path / "x").write_bytes(b"mine")
    with pytest.raises(DestinationError, match="exists"):
        await domo.download(data_file_id, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"mine"
    assert names_in(tmp_path) == ["x"]


async def test_what_came_meanwhile_is_left_as_it_is(domo, tmp_path):
    uploaded = await domo.upload(bytes(20_000_000), name="x", part_size=10_000_000)
    data_file_id = uploaded.data_file_id
    with pytest.raises(DestinationError, match="exists"):
        await domo.download(
            data_file_id,
            tmp_path / "x",
            progress=lambda _: (tmp_path / "x").write_bytes(b"mine"),
            resume=False,
        )
    assert (tmp_path / "x").read_bytes() == b"mine"
    assert names_in(tmp_path) == ["x"]


async def test_overwriting_replaces_only_once_it_is_complete(
    domo, emulator, data_file_id, tmp_path
):
    (tmp_path / "x").write_bytes(b"mine")
    emulator.faults.add("open_download", corrupt=True)
    with pytest.raises(ChecksumMismatchError):
        await domo.download(data_file_id, tmp_path / "x", overwrite=True)
    assert (tmp_path / "x").read_bytes() == b"mine"
    await domo.download(data_file_id, tmp_path / "x", overwrite=True)
    assert (tmp_path / "x").read_bytes() == DATA
    assert names_in(tmp_path) == ["x"]


async def test_a_link_is_replaced_and_never_written_through(domo, data_file_id, tmp_path):
    (tmp_path / "far").write_bytes(b"mine")
    (tmp_path / "x").symlink_to(tmp_path / "far")
    await domo.download(data_file_id, tmp_path / "x", overwrite=True)
    assert (tmp_path / "far").read_bytes() == b"mine"
    assert not (tmp_path / "x").is_symlink()


async def test_a_later_download_goes_on_where_an_earlier_one_failed(
    domo, emulator, data_file_id, tmp_path
):
    emulator.faults.add("open_download", reset="body")
    emulator.faults.add("open_download", status=403)
    with pytest.raises(PermissionDeniedError):
        await domo.download(data_file_id, tmp_path / "x")
    (left,) = names_in(tmp_path)
    assert left.startswith(".x.")
    size = (tmp_path / left).stat().st_size
    assert 0 < size < len(DATA)
    await domo.download(data_file_id, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    assert emulator.requests[-1].headers["Range"] == f"bytes={size}-"
    assert names_in(tmp_path) == ["x"]


async def test_a_partial_file_of_another_revision_is_not_gone_on_with(
    domo, emulator, data_file_id, tmp_path
):
    emulator.faults.add("open_download", reset="body")
    emulator.faults.add("open_download", status=403)
    with pytest.raises(PermissionDeniedError):
        await domo.download(data_file_id, tmp_path / "x")
    await domo.upload(b"second", data_file_id=data_file_id)
    await domo.download(data_file_id, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"second"


@pytest.mark.parametrize("verify", [True, False])
async def test_a_partial_file_that_is_damaged_is_noticed_and_begun_anew(
    domo, emulator, data_file_id, tmp_path, verify
):
    emulator.faults.add("open_download", reset="body")
    emulator.faults.add("open_download", status=403)
    with pytest.raises(PermissionDeniedError):
        await domo.download(data_file_id, tmp_path / "x")
    (left,) = tmp_path.iterdir()
    left.write_bytes(bytes(left.stat().st_size))
    await domo.download(data_file_id, tmp_path / "x", verify=verify)
    assert (tmp_path / "x").read_bytes() == DATA
    assert names_in(tmp_path) == ["x"]


async def test_two_downloads_to_one_place_do_not_hurt_each_other(domo, data_file_id, tmp_path):
    results = await asyncio.gather(
        *(domo.download(data_file_id, tmp_path / "x") for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(result, DestinationError) for result in results) == 4
    assert (tmp_path / "x").read_bytes() == DATA
    leftovers = [name for name in names_in(tmp_path) if name != "x"]
    assert len(leftovers) <= 1


async def test_a_damaged_download_leaves_nothing(domo, emulator, data_file_id, tmp_path):
    emulator.faults.add("open_download", corrupt=True)
    with pytest.raises(ChecksumMismatchError) as caught:
        await domo.download(data_file_id, tmp_path / "x")
    assert caught.value.expected == hashlib.sha256(DATA).hexdigest()
    assert names_in(tmp_path) == []


async def test_unverified_it_is_as_it_came(domo, emulator, data_file_id, tmp_path):
    emulator.faults.add("open_download", corrupt=True)
    await domo.download(data_file_id, tmp_path / "x", verify=False)
    assert (tmp_path / "x").read_bytes() != DATA


@pytest.mark.parametrize("ranges", [True, False])
async def test_a_dropped_connection_goes_on_from_where_it_was(
    domo, emulator, data_file_id, tmp_path, ranges
):
    emulator.behaviour.ranges = ranges
    emulator.faults.add("open_download", reset="body", times=2)
    await domo.download(data_file_id, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == DATA
    asked = [r.headers.get("Range") for r in emulator.requests if r.operation == "open_download"]
    assert len(asked) == 3
    assert asked[0] is None
    assert asked[1].startswith("bytes=")


async def test_a_download_that_never_comes_ends_with_why(domo, emulator, data_file_id, tmp_path):
    emulator.faults.add("open_download", reset="before", times=5)
    with pytest.raises(TransportError):
        await domo.download(data_file_id, tmp_path / "x")
    assert names_in(tmp_path) == []


async def test_a_maintenance_page_is_no_file(domo, emulator, data_file_id, tmp_path):
    emulator.faults.add("open_download", maintenance=True, status=200, times=5)
    with pytest.raises(MaintenanceError):
        await domo.download(data_file_id, tmp_path / "x")
    assert names_in(tmp_path) == []


async def test_errors_come_out_as_they_are(domo, emulator, data_file_id, tmp_path):
    with pytest.raises(NotFoundError):
        await domo.download(999, tmp_path / "x")
    emulator.faults.add("open_download", status=401)
    with pytest.raises(AuthenticationError):
        await domo.download(data_file_id, tmp_path / "x")
    assert names_in(tmp_path) == []


async def test_a_writable_that_is_closed_or_takes_text_is_said_to_be(
    domo, emulator, data_file_id, tmp_path
):
    with (tmp_path / "x").open("wb") as closed:
        pass
    with pytest.raises(DestinationError, match="closed"):
        await domo.download(data_file_id, closed)
    with (tmp_path / "x").open("rb") as read:
        with pytest.raises(DestinationError, match="isn't open for writing"):
            await domo.download(data_file_id, read)
    emulator.requests.clear()
    async with aiofiles.open(tmp_path / "x", "w") as asynchronous:
        for text in (io.StringIO(), asynchronous):
            with pytest.raises(InvalidArgumentError, match="binary mode"):
                await domo.download(data_file_id, text)
    assert emulator.requests == []


@pytest.mark.parametrize(
    ("byte_range", "said", "body", "given"),
    [
        ((1, 3), "bytes 1-4/5", b"1234", b"12"),
        ((1, 9), "bytes 1-4/5", b"1234", b"1234"),
        ((1, None), "bytes 1-4/5", b"1234", b"1234"),
        ((1, 3), "bytes 1-2/*", b"12", b"12"),
        (None, "bytes 0-4/5", b"01234", b"01234"),
        ((1, 3), "bytes 1-1/5", b"1", None),
        ((1, None), "bytes 1-3/5", b"123", None),
        ((1, 3), "bytes 0-2/5", b"012", None),
        (None, "bytes 0-1/5", b"01", None),
    ],
)
async def test_what_comes_for_a_range_is_just_that_range_or_an_error(byte_range, said, body, given):
    async def script(connection):
        await connection.request()
        await connection.send(answer(206, body, {"Content-Range": said}))
        await connection.rest()

    async with (
        ScriptedServer(script) as server,
        DomoFilesSession(server.origin, auth=DeveloperToken("secret")) as domo,
    ):
        opening = domo.open_download(1, byte_range=byte_range)
        if given is None:
            with pytest.raises(UnexpectedResponseError, match="others came"):
                await opening.__aenter__()
        else:
            async with opening as stream:
                assert (stream.size, await stream.read()) == (len(given), given)


async def test_a_download_is_read_once_and_inside_of_its_block(domo, data_file_id):
    async with domo.open_download(data_file_id) as stream:
        assert await stream.read() == DATA
        with pytest.raises(SessionStateError, match="read once"):
            await stream.read()
    async with domo.open_download(data_file_id) as stream:
        pass
    with pytest.raises(SessionStateError, match="block"):
        await stream.read()


@pytest.mark.parametrize("destination", ["", "a\0b", 5])
async def test_what_is_no_destination_is_refused(domo, data_file_id, destination):
    with pytest.raises(InvalidArgumentError):
        await domo.download(data_file_id, destination)


async def test_where_nothing_can_be_written_is_said(domo, data_file_id, tmp_path):
    with pytest.raises(DestinationError):
        await domo.download(data_file_id, tmp_path / "none" / "x")
    with pytest.raises(DestinationError):
        await domo.download(data_file_id, str(tmp_path / "none") + "/")
