import asyncio
import hashlib
import os

import pytest

from domo_files_async import (
    InvalidArgumentError,
    PartUploadError,
    PermissionDeniedError,
    SessionStateError,
    TransferConfig,
    UploadJournal,
)

DATA = os.urandom(5120)


async def test_what_is_written_is_committed_on_a_clean_exit(domo, emulator):
    async with domo.open_upload("x", verify="sha256") as writer:
        for start in range(0, len(DATA), 700):
            await writer.write(DATA[start : start + 700])
        assert not emulator.files
    result = writer.result
    assert await emulator.content(result.data_file_id) == DATA
    assert result.sha256 == hashlib.sha256(DATA).hexdigest()
    assert result.parts == 6


async def test_little_or_nothing_goes_as_one_request(domo, emulator):
    async with domo.open_upload("x") as writer:
        pass
    assert await emulator.content(writer.result.data_file_id) == b""
    async with domo.open_upload("y") as writer:
        await writer.write(b"little")
        await writer.write(b"")
    assert await emulator.content(writer.result.data_file_id) == b"little"
    assert writer.result.parts == 0


async def test_a_buffer_may_be_changed_once_it_was_written(domo, emulator):
    buffer = bytearray(700)
    async with domo.open_upload("x") as writer:
        for fill in range(8):
            buffer[:] = bytes([fill]) * 700
            await writer.write(buffer)
        buffer[:] = bytes([255]) * 700
    expected = b"".join(bytes([fill]) * 700 for fill in range(8))
    assert await emulator.content(writer.result.data_file_id) == expected


@pytest.mark.parametrize("size", [10, 5000])
async def test_a_buffer_may_be_emptied_once_it_was_written(domo, emulator, size):
    buffer = bytearray()
    async with domo.open_upload("x") as writer:
        for fill in range(4):
            buffer += bytes([fill]) * size
            await writer.write(buffer)
            buffer.clear()
    expected = b"".join(bytes([fill]) * size for fill in range(4))
    assert await emulator.content(writer.result.data_file_id) == expected


async def test_an_exception_publishes_nothing(domo, emulator):
    with pytest.raises(KeyError, match="mine"):
        async with domo.open_upload("x") as writer:
            await writer.write(DATA)
            raise KeyError("mine")
    assert not emulator.files
    with pytest.raises(SessionStateError):
        _ = writer.result


async def test_a_failed_upload_ends_the_writing(domo, emulator):
    emulator.faults.add("upload_part", part=1, status=403)
    with pytest.raises(PartUploadError):
        async with domo.open_upload("x") as writer:
            while True:
                await writer.write(DATA)
    assert not emulator.files


async def test_a_wrong_argument_comes_out_and_nothing_is_sent(domo, emulator):
    with pytest.raises(InvalidArgumentError):
        async with domo.open_upload("") as writer:
            await writer.write(b"x")
    with pytest.raises(InvalidArgumentError, match="str"):
        async with domo.open_upload("x") as writer:
            await writer.write("text")
    assert not emulator.requests


async def test_a_writer_is_over_after_its_block(domo):
    async with domo.open_upload("x") as writer:
        with pytest.raises(SessionStateError):
            _ = writer.result
    with pytest.raises(SessionStateError):
        await writer.write(b"x")


async def test_a_writer_that_outlives_its_session_says_so(emulator):
    async with emulator.session("ada") as domo:
        opened = domo.open_upload("x")
        writer = await opened.__aenter__()
        await writer.write(b"x")
    with pytest.raises(SessionStateError, match="its session was closed"):
        await writer.write(b"y")
    with pytest.raises(SessionStateError, match="its session was closed"):
        await opened.__aexit__(None, None, None)
    assert not emulator.files


async def test_a_writer_is_not_begun_after_its_session(emulator):
    async with emulator.session("ada") as domo:
        late = domo.open_upload("x", journal=None)
    with pytest.raises(SessionStateError):
        async with late:
            pass
    assert not emulator.requests


async def test_a_journal_is_refused(domo, emulator, tmp_path):
    with pytest.raises(InvalidArgumentError, match="journal"):
        domo.open_upload("x", journal=UploadJournal(tmp_path / "j"))
    assert not emulator.requests


async def test_a_revision_can_be_written(domo, emulator):
    first = await domo.upload(b"one", name="kept")
    async with domo.open_upload(data_file_id=first.data_file_id) as writer:
        await writer.write(DATA)
    assert (await domo.get_file(first.data_file_id)).name == "kept"
    assert await emulator.content(first.data_file_id) == DATA


async def test_writing_waits_while_the_memory_is_full(emulator):
    config = TransferConfig(memory_budget=1024 * 1024, multipart_threshold=1)
    emulator.faults.add("upload_part", stall=60, times=None)
    written = 0
    async with emulator.session("ada", transfer=config) as domo:

        async def push():
            nonlocal written
            async with domo.open_upload("x") as writer:
                while True:
                    await writer.write(bytes(64 * 1024))
                    written += 64 * 1024

        pushing = asyncio.create_task(push())
        before = -1
        while before != written or "upload_part" not in {r.operation for r in emulator.requests}:
            before = written
            for _ in range(100):
                await asyncio.sleep(0)
            await domo.list_files()
        assert 0 < written <= 1024 * 1024 + 64 * 1024
        pushing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pushing


@pytest.mark.parametrize("goes_on", [True, False], ids=["writes on", "leaves"])
async def test_after_a_cancelled_write_nothing_is_committed(emulator, goes_on):
    config = TransferConfig(memory_budget=1024 * 1024, multipart_threshold=1)
    emulator.faults.add("upload_part", stall=60, times=None)
    async with emulator.session("ada", transfer=config) as domo:
        with pytest.raises(SessionStateError, match="write was cancelled"):
            async with domo.open_upload("x") as writer:
                writing = asyncio.create_task(writer.write(bytes(4 * 1024 * 1024)))
                while "upload_part" not in {one.operation for one in emulator.requests}:
                    await domo.list_files()
                writing.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await writing
                if goes_on:
                    await writer.write(b"more")
    assert not emulator.files
    assert not emulator.open_sessions


async def test_a_write_while_a_failed_upload_is_cleaning_up_raises_its_error(domo, emulator):
    emulator.faults.add("create_multipart_session", status=403)
    with pytest.raises(PermissionDeniedError):
        async with domo.open_upload("x", part_size=1024) as writer:
            for _ in range(100):
                await writer.write(b"x" * 100)
