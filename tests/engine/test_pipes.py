"""Transfers whose bytes come from, or go to, other transfers of the same session."""

import asyncio
import hashlib
from contextlib import AsyncExitStack

import pytest

from domo_files_async import TransferConfig

DATA = bytes(range(256)) * 4000
CONFIGS = [
    TransferConfig(max_concurrency=ceiling, adaptive=adaptive)
    for ceiling in (1, 2, 4)
    for adaptive in (True, False)
]


@pytest.fixture(params=CONFIGS, ids=lambda c: f"{c.max_concurrency}-{c.adaptive}")
async def domo(request, emulator):
    async with emulator.session("ada", transfer=request.param) as session, asyncio.timeout(15):
        yield session


@pytest.fixture
async def data_file_id(domo):
    return await domo.upload_file(DATA, name="a.bin")


async def opened_within(domo, data_file_id):
    async with domo.open_download(data_file_id) as stream:
        async for chunk in stream:
            yield chunk


async def stored(domo, data_file_id):
    file = await domo.get_file(data_file_id)
    return file.current_revision.sha256_hash_value.lower()


@pytest.mark.parametrize("how", ["upload", "upload_file"])
async def test_what_is_read_can_be_uploaded_by_any_number_of_tasks(domo, data_file_id, how):
    async def copy(number):
        async with domo.open_download(data_file_id) as stream:
            made = await getattr(domo, how)(aiter(stream), name=f"b{number}")
        return made if how == "upload_file" else made.data_file_id

    made = await asyncio.gather(*(copy(number) for number in range(12)))
    assert await stored(domo, made[-1]) == hashlib.sha256(DATA).hexdigest()


async def test_what_is_uploaded_can_open_its_download_itself(domo, data_file_id):
    uploads = [
        domo.upload_file(opened_within(domo, data_file_id), name=f"c{number}")
        for number in range(12)
    ]
    made = await asyncio.gather(*uploads)
    assert await stored(domo, made[-1]) == hashlib.sha256(DATA).hexdigest()


async def test_what_is_copied_in_parts_while_it_comes_arrives(domo, emulator):
    parts = TransferConfig(
        max_concurrency=domo.transfer.max_concurrency,
        adaptive=domo.transfer.adaptive,
        multipart_threshold=1000,
        part_size=300_000,
    )
    async with emulator.session("ada", transfer=parts) as session:
        first = await session.upload_file(DATA, name="a.bin")

        async def copy(number):
            async with session.open_download(first) as stream:
                return await session.upload(aiter(stream), name=f"d{number}")

        made = await asyncio.gather(*(copy(number) for number in range(6)))
        assert await stored(session, made[-1].data_file_id) == hashlib.sha256(DATA).hexdigest()


async def test_a_download_can_be_written_to_an_upload(domo, data_file_id):
    async with domo.open_upload(name="e.bin") as upload:
        await domo.download(data_file_id, upload)
    made = upload.result.data_file_id
    assert await stored(domo, made) == hashlib.sha256(DATA).hexdigest()


async def test_downloads_that_nobody_reads_hold_nobody_up(domo, emulator, tmp_path):
    large = await domo.upload_file(bytes(20_000_000), name="large")
    async with AsyncExitStack() as stack:
        # More than the ceiling: the first ones are let be while the others are opened.
        streams = [await stack.enter_async_context(domo.open_download(large)) for _ in range(6)]
        readers = [aiter(stream) for stream in streams]
        for reader in readers:
            await anext(reader)
        made = await domo.upload(DATA, name="f.bin")
        await domo.download(made.data_file_id, tmp_path / "f.bin")
        rest = [sum([len(chunk) async for chunk in reader]) for reader in readers]
    assert all(0 < size < 20_000_000 for size in rest)
    assert (tmp_path / "f.bin").read_bytes() == DATA
