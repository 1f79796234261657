import array
import asyncio
import gzip
import io
import mimetypes
import os
import threading

import aiofiles
import pytest

from domo_files_async import InvalidArgumentError, SourceChangedError, SourceError, TransferConfig
from domo_files_async.emulator import Emulator
from domo_files_async.engine.buffers import SEGMENT, Buffers

DATA = os.urandom(5120)


class AsyncReader:
    """An asynchronous reader that can't go back, such as a StreamReader."""

    def __init__(self, data):
        self._data = io.BytesIO(data)

    async def read(self, size):
        return self._data.read(size)


class AsyncSeekable(AsyncReader):
    def __init__(self, data, shrink=0):
        super().__init__(data)
        self._grown = 0
        self._size = len(data)
        self._shrink = shrink
        self.name = "<odd>"

    async def seekable(self):
        return True

    async def tell(self):
        return self._data.tell()

    async def seek(self, offset, whence=0):
        if whence == 2 and self._grown:
            return self._size + self._grown
        place = self._data.seek(offset, whence)
        return place + self._shrink if whence == 2 else place

    def grow(self):
        self._grown = 5


async def test_an_asynchronous_reader_is_a_stream(domo, emulator):
    result = await domo.upload(AsyncReader(DATA), name="x")
    assert await emulator.content(result.data_file_id) == DATA
    reader = asyncio.StreamReader()
    reader.feed_data(DATA)
    reader.feed_eof()
    result = await domo.upload(reader, name="x")
    assert await emulator.content(result.data_file_id) == DATA


class Whole:
    """Gives its bytes one after the other, or all of them at once: no file, which takes a size."""

    async def __aiter__(self):
        yield DATA[:3000]
        yield DATA[3000:]

    async def read(self, *, decode=False):
        raise AssertionError(decode)


async def test_what_reads_only_as_a_whole_is_iterated_over(domo, emulator):
    first = await domo.upload(Whole(), name="x")
    for upload in (domo.upload, domo.upload_file):
        async with domo.open_download(first.data_file_id) as stream:
            copy = await upload(stream, name="copy")
        made = copy if isinstance(copy, int) else copy.data_file_id
        assert await emulator.content(made) == DATA


class Handing:
    """Its read is a plain function, and what it returns is to be awaited."""

    def __init__(self, data):
        self._reader = AsyncReader(data)

    def read(self, size):
        return self._reader.read(size)


class HandingSeekable(Handing):
    """The same of all that a file can do."""

    def seek(self, offset, whence=0):
        return self._reader.read(offset + whence)

    def tell(self):
        return self._reader.read(0)


async def test_a_plain_function_that_reads_later_is_refused_in_words(domo, emulator):
    for source in (Handing(DATA), HandingSeekable(DATA)):
        with pytest.raises(InvalidArgumentError, match="`async def`"):
            await domo.upload(source, name="x")
    assert emulator.requests == []


class Exhausted(io.RawIOBase):
    def readable(self):
        return True

    def readinto(self, _):
        raise StopIteration


async def test_whatever_a_file_object_raises_comes_out_and_holds_nobody_up(domo, emulator):
    # No future takes a StopIteration; others' answers came in the same turn of the loop.
    failing = domo.upload(Exhausted(), name="x")
    good = [domo.upload(io.BytesIO(DATA), name="x") for _ in range(20)]
    first, *others = await asyncio.gather(failing, *good, return_exceptions=True)
    assert isinstance(first, RuntimeError)
    assert "StopIteration" in str(first)
    assert [await emulator.content(one.data_file_id) for one in others] == [DATA] * 20


async def test_an_asynchronous_file_may_be_larger_than_memory(emulator):
    data = os.urandom(3_000_000)
    config = TransferConfig(memory_budget=1024 * 1024, multipart_threshold=1)
    async with emulator.session("ada", transfer=config) as domo:
        result = await domo.upload(AsyncSeekable(data), name="x", part_size=1_400_000)
    assert await emulator.content(result.data_file_id) == data


async def test_an_asynchronous_file_that_grew_or_shrank_is_not_committed(domo, emulator):
    source = AsyncSeekable(DATA)
    with pytest.raises(SourceChangedError, match="5125"):
        await domo.upload(source, name="x", progress=lambda _: source.grow())
    with pytest.raises(SourceChangedError, match="ends at"):
        await domo.upload(AsyncSeekable(DATA, shrink=10), name="x")
    assert not emulator.files


async def test_a_special_file_is_a_stream(domo, emulator, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writing = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(DATA))
    writing.start()
    result = await domo.upload(tmp_path / "pipe")
    writing.join()
    assert result.name == "pipe"
    assert await emulator.content(result.data_file_id) == DATA


class Broken(io.RawIOBase):
    def seekable(self):
        return True

    def seek(self, *_):
        return 5000

    def tell(self):
        return 0

    def readinto(self, _):
        raise OSError("The disk is gone")


class Closed(io.BytesIO):
    def tell(self):
        raise ValueError("I/O operation on closed file")


class BrokenLater(AsyncSeekable):
    async def read(self, _):
        raise OSError("The disk is gone")


async def test_a_file_that_cannot_be_read_says_so(domo, emulator):
    for broken in (Broken(), BrokenLater(DATA)):
        with pytest.raises(SourceError, match="The disk is gone"):
            await domo.upload(broken, name="x")
    with pytest.raises(SourceError, match="closed"):
        await domo.upload(Closed(), name="x")
    assert not emulator.files


async def test_a_file_that_is_closed_or_only_written_says_so(domo, emulator, tmp_path):
    path = tmp_path / "x"
    with path.open("wb") as written:
        with pytest.raises(SourceError, match="x can't be read: it isn't open for reading"):
            await domo.upload(written)
    with path.open("rb") as closed:
        pass
    with pytest.raises(SourceError, match=r"x can't be read: .*closed"):
        await domo.upload(closed)
    async with aiofiles.open(path, "rb") as closed_too:
        pass
    with pytest.raises(SourceError, match=r"x can't be read: .*closed"):
        await domo.upload(closed_too)
    assert emulator.requests == []


async def test_the_tables_of_content_types_are_read_once_and_in_a_thread(
    domo, tmp_path, monkeypatch
):
    read_by, all_began = [], threading.Event()

    def init():
        read_by.append(threading.current_thread())
        assert all_began.wait(30)
        mimetypes.inited = True

    monkeypatch.setattr(mimetypes, "inited", False)
    monkeypatch.setattr(mimetypes, "init", init)
    (tmp_path / "x.csv").write_bytes(DATA)
    uploads = [asyncio.create_task(domo.upload(tmp_path / "x.csv")) for _ in range(20)]
    await asyncio.sleep(0)
    all_began.set()
    await asyncio.gather(*uploads)
    assert len(read_by) == 1
    assert threading.main_thread() not in read_by


async def test_a_file_in_text_mode_is_refused_before_it_is_read(domo, emulator, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"\xff not UTF-8")
    with path.open() as text, pytest.raises(InvalidArgumentError, match="binary mode"):
        await domo.upload(text)
    async with aiofiles.open(path) as text:
        with pytest.raises(InvalidArgumentError, match="binary mode"):
            await domo.upload(text)
    assert emulator.requests == []


async def test_a_file_that_unpacks_what_it_reads_is_read_like_any_other(domo, emulator, tmp_path):
    with gzip.open(tmp_path / "x.gz", "wb") as packed:
        packed.write(DATA)
    with gzip.open(tmp_path / "x.gz") as packed:
        result = await domo.upload(packed, name="x")
    assert await emulator.content(result.data_file_id) == DATA


@pytest.mark.parametrize(
    "data",
    [
        array.array("B", DATA),
        array.array("I", range(2000)),
        array.array("I"),
        memoryview(DATA).cast("B", (2, 2560)),
    ],
    ids=["bytes", "words", "nothing", "rows"],
)
async def test_whatever_is_like_bytes_is_uploaded_as_its_bytes(domo, emulator, data):
    async def chunks():
        yield data

    for source in (data, chunks()):
        result = await domo.upload(source, name="x")
        assert await emulator.content(result.data_file_id) == bytes(data)
    session_id = await domo.create_multipart_session(name="x", content_type="a/b")
    await domo.upload_part(session_id, 1, data)
    made = await domo.commit_multipart_session(session_id)
    assert await emulator.content(made.data_file_id) == bytes(data)


@pytest.mark.parametrize("size", [10, 5000, 200_000])
@pytest.mark.parametrize("way", ["upload", "upload_file"])
async def test_a_stream_may_empty_what_it_gave(domo, emulator, size, way):
    async def chunks():
        buffer = bytearray()
        for fill in range(3):
            buffer += bytes([fill]) * size
            yield buffer
            buffer.clear()

    made = await getattr(domo, way)(chunks(), name="x")
    expected = b"".join(bytes([fill]) * size for fill in range(3))
    content = await emulator.content(made if way == "upload_file" else made.data_file_id)
    assert content == expected


async def test_a_stream_may_use_a_view_that_it_gave(domo, emulator):
    async def chunks():
        with memoryview(DATA) as view:
            for _ in range(2):
                yield view

    for upload in (domo.upload, domo.upload_file):
        made = await upload(chunks(), name="x")
        content = await emulator.content(made if isinstance(made, int) else made.data_file_id)
        assert content == DATA * 2


async def test_bytes_that_dont_lie_side_by_side_are_refused(domo, emulator):
    data = memoryview(DATA)[::2]

    async def chunks():
        yield data

    calls = [domo.upload(data, name="x"), domo.upload(chunks(), name="x")]
    for call in [*calls, domo.upload_part("s", 1, data)]:
        with pytest.raises(InvalidArgumentError, match="side by side"):
            await call
    assert emulator.requests == []


class OnlyRead:
    """Seekable, but without readinto."""

    def __init__(self, data):
        self._data = io.BytesIO(data)
        self.read, self.seek, self.tell = self._data.read, self._data.seek, self._data.tell


async def test_a_file_without_readinto_is_read_all_the_same(domo, emulator):
    result = await domo.upload(OnlyRead(DATA), name="x")
    assert await emulator.content(result.data_file_id) == DATA


@pytest.mark.parametrize("path", ["", "a\0b", b"bytes are data"])
async def test_what_is_no_path_is_refused(domo, path):
    class Odd:
        def __fspath__(self):
            return path

    with pytest.raises(InvalidArgumentError):
        await domo.upload(Odd(), name="x")


async def test_a_stream_that_gives_text_is_refused(domo, emulator):
    async def words():
        yield "text"

    with pytest.raises(InvalidArgumentError, match="str"):
        await domo.upload(words(), name="x")
    assert not emulator.files


async def test_a_part_of_a_stream_must_fit_into_memory(domo, emulator):
    async def chunks():
        yield b"x"

    with pytest.raises(InvalidArgumentError, match="memory_budget"):
        await domo.upload(chunks(), name="x", part_size=65 << 20)
    assert not emulator.requests


async def test_memory_is_reused_and_never_more_than_the_budget():
    buffers = Buffers(10 * SEGMENT)
    first = await buffers.lease(6 * SEGMENT)
    waiting = asyncio.ensure_future(buffers.lease(6 * SEGMENT))
    later = asyncio.ensure_future(buffers.lease(SEGMENT * 2))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert not later.done()
    first.release()
    first.release()
    second = await waiting
    assert (await later).size == 2 * SEGMENT
    assert buffers.held == 8 * SEGMENT
    second.release()


async def test_who_stops_waiting_for_memory_takes_none():
    buffers = Buffers(10 * SEGMENT)
    held = await buffers.lease(10 * SEGMENT)
    gone = [asyncio.ensure_future(buffers.lease(8 * SEGMENT)) for _ in range(3)]
    stays = asyncio.ensure_future(buffers.lease(10 * SEGMENT))
    await asyncio.sleep(0)
    gone[0].cancel()
    await asyncio.sleep(0)
    held.release()
    gone[1].cancel()
    gone[2].cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    lease = await stays
    assert buffers.held == 10 * SEGMENT
    lease.release()
    assert buffers.held == 0


async def test_a_buffer_is_not_reused_while_a_thread_works_on_it():
    buffers = Buffers(10 * SEGMENT)
    lease = await buffers.lease(10 * SEGMENT)
    lease.pin()
    lease.release()
    waiting = asyncio.ensure_future(buffers.lease(10 * SEGMENT))
    await asyncio.sleep(0)
    assert not waiting.done()
    lease.unpin()
    (await waiting).release()


async def test_small_leases_never_wait_for_large_ones():
    buffers = Buffers(32 * SEGMENT)
    async with asyncio.timeout(5):
        large = await buffers.lease(32 * SEGMENT)
        with await buffers.lease(1000) as small:
            assert len(small.view) == 1000
        large.release()


async def test_small_uploads_that_wait_are_let_in_by_groups():
    buffers = Buffers(32 * SEGMENT)
    held = [await buffers.spare(SEGMENT // 4) for _ in range(8)]
    waiting = [asyncio.ensure_future(buffers.spare(SEGMENT // 4)) for _ in range(3)]
    await asyncio.sleep(0)
    held[0].release()
    for _ in range(3):
        await asyncio.sleep(0)
    assert not any(one.done() for one in waiting)
    held[1].release()
    for _ in range(3):
        await asyncio.sleep(0)
    assert [one.done() for one in waiting] == [True, True, False]
    for one in held[2:]:
        one.release()
    for spare in await asyncio.gather(*waiting):
        spare.release()


async def test_the_emulator_and_a_session_leave_no_thread(tmp_path):
    (tmp_path / "x").write_bytes(DATA)
    async with Emulator() as emulator, emulator.session("ada") as domo:
        await domo.upload(tmp_path / "x")
    for thread in threading.enumerate():
        if thread.name.startswith("domo-files"):
            thread.join(5)
            assert not thread.is_alive()
