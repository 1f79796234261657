import asyncio
import gc
import gzip
import io
import logging

import fsspec
import pytest

from domo_files_async import BadRequestError, PartUploadError, RetryPolicy, TransferConfig
from domo_files_async.fsspec import DomoFileSystem

DATA = bytes(range(256)) * 40


class StopError(Exception):
    pass


def stop():
    raise StopError


@pytest.fixture
def small(emulator):
    """A file system that uploads in small parts."""
    fs = DomoFileSystem(
        session_factory=lambda: emulator.session(
            "ada",
            transfer=TransferConfig(multipart_threshold=1000, part_size=1000),
            retry=RetryPolicy(initial_backoff=0),
        ),
        skip_instance_cache=True,
    )
    yield fs
    fs.close()


def test_what_is_written_is_streamed_and_published_when_it_is_closed(small, emulator):
    with small.open("big", "wb", block_size=1000) as file:
        for start in range(0, len(DATA), 300):
            file.write(DATA[start : start + 300])
        assert emulator.open_sessions
        assert not small.exists("big")
        assert not file.seekable()
    assert small.cat_file("big") == DATA
    assert [one.operation for one in emulator.requests].count("upload_part") > 5


@pytest.mark.parametrize("count", [0, 1, 999, 1000, 1001])
def test_any_size_is_written(small, count):
    with small.open("file", "wb", block_size=1000) as file:
        file.write(DATA[:count])
    assert small.cat_file("file") == DATA[:count]


def test_writing_to_an_existing_file_makes_a_revision_of_it(domo, emulator):
    domo.pipe_file("a.csv", b"old")
    number = domo.info("a.csv")["data_file_id"]
    for path in ("a.csv", str(number)):
        with domo.open(path, "wb") as file:
            file.write(path.encode())
        assert domo.cat_file("a.csv") == path.encode()
    assert {number: 3} == {one: len(revisions) for one, revisions in emulator.files.items()}
    assert domo.info("a.csv")["content_type"] == "text/csv"
    with pytest.raises(ValueError, match="isn't written again"):
        domo.open(f"{number}@{domo.info('a.csv')['revision_id']}", "wb")
    with pytest.raises(FileNotFoundError):
        domo.open("99999", "wb")
    with pytest.raises(NotImplementedError, match="ab"):
        domo.open("a.csv", "ab")


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda fs: fs.open("file", "wb", block_size=1000),
        lambda fs: io.BufferedWriter(fs.open("file", "wb", block_size=1000)),
        lambda fs: gzip.GzipFile(fileobj=fs.open("file", "wb", block_size=1000), mode="wb"),
        lambda fs: fs.open("file", "wb", compression="gzip", block_size=1000),
    ],
    ids=["plain", "buffered", "gzip", "compressed"],
)
def test_an_exception_in_the_with_publishes_nothing(small, emulator, wrap, exists):
    if exists:
        small.pipe_file("file", b"as it was")
    before = dict(emulator.files)
    with pytest.raises(StopError), wrap(small) as file:
        file.write(DATA)
        raise StopError
    del file
    gc.collect()
    assert emulator.files == before
    if exists:
        assert small.cat_file("file") == b"as it was"


def test_an_exception_in_the_with_of_a_text_file_publishes_nothing(small, emulator, caplog):
    with pytest.raises(StopError), small.open("file", "w", block_size=1000) as file:
        file.write("half a file" * 1000)
        raise StopError
    assert emulator.files == {}
    assert "file was closed by an exception" in caplog.text


def test_an_exception_in_the_with_of_fsspec_open_publishes_nothing(domo, emulator):
    with pytest.raises(StopError), fsspec.open("domo://file", "wb") as file:
        file.write(DATA)
        raise StopError
    assert emulator.files == {}


def test_a_file_that_is_opened_while_an_exception_is_handled_is_published(domo):
    try:
        int("nothing")
    except ValueError:
        with domo.open("report", "wb") as file:
            file.write(b"what went wrong")
    assert domo.cat_file("report") == b"what went wrong"


def test_a_file_whose_with_is_left_by_a_bare_raise_of_what_was_handled_isnt_published(
    domo, emulator
):
    def write():
        try:
            stop()
        except StopError:
            with domo.open("file", "wb") as file:
                file.write(b"half")
                raise

    with pytest.raises(StopError):
        write()
    gc.collect()
    assert emulator.files == {}


@pytest.mark.parametrize("again", ["by its name", "by another"])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda fs: fs.open("file", "wb"),
        lambda fs: fs.open("file", "w"),
        lambda fs: io.BufferedWriter(fs.open("file", "wb")),
        lambda fs: fs.open("file", "wb", compression="gzip"),
        lambda _: fsspec.open("domo://file", "w"),
        lambda _: fsspec.open("domo://file", "wb", compression="gzip"),
    ],
    ids=["plain", "text", "buffered", "gzip", "fsspec text", "fsspec gzip"],
)
def test_the_exception_that_was_handled_before_publishes_nothing_when_it_is_raised_again(
    domo, emulator, wrap, again
):
    def raise_again(error):
        raise error

    def write():
        try:
            stop()
        except StopError as error:
            with wrap(domo) as file:
                file.write("half" if isinstance(file, io.TextIOBase) else b"half")
                if again == "by its name":
                    raise error  # noqa: TRY201 - another traceback than that of a bare one
                raise_again(error)

    with pytest.raises(StopError):
        write()
    gc.collect()
    assert emulator.files == {}


@pytest.mark.parametrize("how", ["text", "fsspec", "plain", "in a function"])
def test_what_is_made_for_want_of_it_is_published(domo, how):
    def write():
        with fsspec.open("domo://kept", "w") as file:
            file.write("made")

    try:
        domo.cat_file("kept")
    except FileNotFoundError:
        if how == "text":
            with domo.open("kept", "w") as file:
                file.write("made")
        elif how == "fsspec":
            with fsspec.open("domo://kept", "w") as file:
                file.write("made")
        elif how == "plain":
            file = domo.open("kept", "wb")
            file.write(b"made")
            file.close()
        else:
            write()
    assert domo.cat_file("kept") == b"made"


def test_a_way_out_of_a_with_can_write_a_report(domo, emulator):
    class Reporting:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            with fsspec.open("domo://report", "w") as file:
                file.write("it went wrong")

    with pytest.raises(StopError), Reporting():
        raise StopError
    assert domo.cat_file("report") == b"it went wrong"


def test_a_file_that_is_closed_while_another_error_is_handled_isnt_lost_silently(domo, emulator):
    file = domo.open("file", "wb")
    file.write(b"all of it")
    try:
        stop()
    except StopError:
        with pytest.raises(StopError) as caught:
            file.close()
    assert "file wasn't published" in caught.value.__notes__[0]
    assert file.closed
    assert emulator.files == {}


def test_a_with_says_how_it_was_left_whatever_is_handled_around_it(domo):
    file = domo.open("file", "wb")
    try:
        stop()
    except StopError:
        with file:
            file.write(b"all of it")
    assert domo.cat_file("file") == b"all of it"


async def test_a_coroutines_file_knows_how_its_with_was_left(emulator):
    fs = DomoFileSystem(
        asynchronous=True, skip_instance_cache=True, session_factory=lambda: emulator.session("ada")
    )

    async def write(again):
        try:
            stop()
        except StopError:
            async with await fs.open_async("file", "wb") as file:
                await file.write(b"half")
                if again:
                    raise

    with pytest.raises(StopError):
        await write(again=True)
    assert emulator.files == {}
    file = await fs.open_async("file", "wb")
    await file.write(b"half")
    try:
        stop()
    except StopError:
        with pytest.raises(StopError):
            await file.close()
    assert emulator.files == {}
    await write(again=False)
    assert await fs._cat_file("file") == b"half"
    await fs._close()


def test_a_file_that_is_forgotten_is_not_published(small, emulator):
    file = small.open("file", "wb", block_size=1000)
    file.write(DATA)
    assert emulator.open_sessions
    del file
    gc.collect()
    small.ls("")
    small.close()
    assert emulator.files == {}
    assert not emulator.open_sessions


def test_an_upload_that_fails_says_so_and_publishes_nothing(small, emulator):
    emulator.faults.add("upload_part", status=400, times=1)
    with pytest.raises(PartUploadError), small.open("file", "wb", block_size=1000) as file:
        for _ in range(10):
            file.write(DATA)
    assert emulator.files == {}
    assert file.closed


def test_a_file_that_cant_be_published_when_it_is_closed_says_so(domo, emulator):
    file = domo.open("file", "wb")
    file.write(b"x")
    emulator.faults.add("upload_file", status=400)
    with pytest.raises(BadRequestError):
        file.close()
    assert file.closed
    file.close()
    assert emulator.files == {}


def test_a_transaction_publishes_all_at_its_end_or_nothing(small, emulator):
    with small.transaction:
        for name in ("a", "b"):
            with small.open(name, "wb") as file:
                file.write(DATA)
        assert emulator.files == {}
    assert small.find("") == ["a", "b"]
    with pytest.raises(StopError), small.transaction:
        with small.open("c", "wb") as file:
            file.write(DATA)
        raise StopError
    assert small.find("") == ["a", "b"]
    assert small.cat_file("b") == DATA


def test_a_directory_is_moved_with_all_that_is_in_it(domo):
    domo.pipe({"old/a": b"1", "old/deep/b": b"2"})
    domo.mv("old", "new", recursive=True)
    assert domo.find("") == ["new/a", "new/deep/b"]
    assert domo.cat("new/deep/b") == b"2"


def test_what_is_there_is_not_written_where_it_must_be_new(domo, tmp_path):
    (tmp_path / "file").write_bytes(b"new")
    domo.pipe_file("file", b"old")
    with pytest.raises(FileExistsError):
        domo.put_file(str(tmp_path / "file"), "file", mode="create")
    with pytest.raises(FileExistsError):
        domo.open(str(domo.info("file")["data_file_id"]), "xb")
    assert domo.cat_file("file") == b"old"
    with domo.open("another", "xb") as file:
        file.write(b"x")
    assert domo.cat_file("another") == b"x"


def test_the_content_type_can_be_said(domo):
    with domo.open("file", "wb", content_type="text/x-mine") as file:
        file.write(b"x")
    assert domo.info("file")["content_type"] == "text/x-mine"
    domo.pipe_file("other", b"x", content_type="text/x-other")
    assert domo.info("other")["content_type"] == "text/x-other"


async def test_coroutines_read_write_and_close_on_their_own_loop(emulator, caplog):
    caplog.set_level(logging.WARNING, "domo_files_async")
    fs = DomoFileSystem(
        asynchronous=True,
        skip_instance_cache=True,
        session_factory=lambda: emulator.session(
            "ada", transfer=TransferConfig(multipart_threshold=1000, part_size=1000)
        ),
    )
    await fs._pipe_file("file", b"piped")
    assert await fs._cat_file("file", 1, 3) == b"ip"
    async with await fs.open_async("big", "wb", block_size=1000) as file:
        for start in range(0, len(DATA), 300):
            await file.write(DATA[start : start + 300])
    async with await fs.open_async("big") as file:
        assert await file.read(10) + await file.read() == DATA
    with pytest.raises(StopError):
        async with await fs.open_async("half", "wb", block_size=1000) as file:
            await file.write(DATA)
            raise StopError
    assert [one["name"] for one in await fs._ls("")] == ["big", "file"]
    await fs._close()


async def test_two_loops_have_two_sessions_of_one_file_system(emulator):
    fs = DomoFileSystem(asynchronous=True, skip_instance_cache=True)

    async def work():
        await fs._pipe_file("file", b"x")
        await fs._close()
        return len(fs._on_loops)

    assert await work() == 0
    assert await asyncio.to_thread(asyncio.run, work()) == 0
    assert await fs._cat_file("file") == b"x"
    await fs._close()


def test_a_local_file_that_isnt_there_cant_be_put(domo, tmp_path):
    for put in (domo.put, domo.put_file):
        with pytest.raises(FileNotFoundError, match="nope"):
            put(str(tmp_path / "nope"), "file")
    assert domo.find("") == []
