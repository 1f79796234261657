import asyncio
import logging

import pytest

from domo_files_async import PartUploadError, RetryPolicy, TransferConfig
from domo_files_async.emulator import Emulator
from domo_files_async.logs import LoggingObserver

QUICK = RetryPolicy(initial_backoff=0.001, max_backoff=0.01)
SMALL = TransferConfig(multipart_threshold=1000, part_size=1000)
LOGGER = logging.getLogger("theirs")


@pytest.fixture
async def emulator():
    async with Emulator() as running:
        yield running


@pytest.fixture
def records(caplog):
    caplog.set_level(logging.DEBUG, "theirs")
    return lambda: caplog.records


def session(emulator, **options):
    observer = LoggingObserver(LOGGER, **options)
    return emulator.session("ada", retry=QUICK, transfer=SMALL, observer=observer)


def levels(records, level):
    return [one.domo_files["event"] for one in records() if one.levelno == level]


async def test_each_event_is_one_record_with_its_facts(emulator, records):
    emulator.faults.add("upload_part", part=2, status=503)
    async with session(emulator) as domo:
        await domo.upload(bytes(1500), name="secret.txt")
    assert levels(records, logging.INFO) == ["transfer started", "transfer finished"]
    assert levels(records, logging.WARNING) == ["part retried"]
    assert levels(records, logging.DEBUG).count("part sent") == 2
    (retried,) = [one for one in records() if one.levelno == logging.WARNING]
    told = retried.domo_files
    assert (told["transfer"], told["index"], told["attempt"]) == (1, 2, 1)
    assert retried.getMessage().startswith("part retried transfer=1 index=2 attempt=1 delay=0.")
    assert told["error"] == "ServerError"


@pytest.mark.parametrize("asked", [True, False])
async def test_names_ids_and_messages_are_told_only_if_asked(emulator, records, asked):
    emulator.faults.add("upload_part", part=2, status=403)
    async with session(emulator, names_and_ids=asked) as domo:
        with pytest.raises(PartUploadError):
            await domo.upload(bytes(1500), name="secret.txt")
    (failed,) = [one for one in records() if one.levelno == logging.ERROR]
    assert failed.domo_files["error"] == "PartUploadError"
    said = " ".join(one.getMessage() for one in records() if one.name == "theirs")
    session_id = next(r for r in emulator.requests if r.operation == "upload_part").path.split("/")
    for secret in ("secret.txt", session_id[6], "A fault was asked for"):
        assert (secret in said) == asked
    assert "/multipart/{session_id}/part/{index}" in said


async def test_a_cancelled_upload_is_no_error(emulator, records):
    emulator.faults.add("upload_part", stall=60, times=None)
    async with session(emulator) as domo:
        uploading = asyncio.ensure_future(domo.upload(bytes(1500), name="x"))
        while "part started" not in levels(records, logging.DEBUG):
            await asyncio.sleep(0)
        uploading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await uploading
    assert "transfer failed" in levels(records, logging.INFO)
    assert not levels(records, logging.ERROR)


async def test_what_the_logger_leaves_out_is_not_even_written(emulator, records, caplog):
    caplog.set_level(logging.WARNING, "theirs")
    async with session(emulator) as domo:
        await domo.upload(b"x", name="x")
    assert not records()
