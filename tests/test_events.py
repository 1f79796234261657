import pytest

from domo_files_async import (
    BadRequestError,
    Committed,
    PartSent,
    PartStarted,
    RequestFinished,
    SessionCreated,
    TransferConfig,
    TransferFailed,
    TransferFinished,
    TransferStarted,
)
from domo_files_async.emulator import Emulator

SMALL = TransferConfig(multipart_threshold=1000, part_size=1000)


async def test_an_upload_tells_its_story_under_one_number():
    seen = []
    async with Emulator() as emulator:
        async with emulator.session("ada", observer=seen.append, transfer=SMALL) as domo:
            result = await domo.upload(bytes(2500), name="x")
    ours = [event for event in seen if event.transfer == 1]
    kinds = [type(event) for event in ours]
    assert kinds[:2] == [TransferStarted, SessionCreated]
    assert kinds[-2:] == [Committed, TransferFinished]
    assert kinds.count(PartStarted) == kinds.count(PartSent) == 3
    assert ours[-1].data_file_id == result.data_file_id
    assert sum(isinstance(event, RequestFinished) for event in seen) >= 5


async def test_an_observer_that_fails_harms_nothing(caplog):
    def fail(event):
        raise KeyError("mine")

    async with Emulator() as emulator:
        async with emulator.session("ada", observer=fail, transfer=SMALL) as domo:
            await domo.upload(bytes(2500), name="x")
    assert "The observer failed" in caplog.text


async def test_a_failure_is_told_with_its_error():
    seen = []
    async with Emulator() as emulator:
        async with emulator.session("ada", observer=seen.append) as domo:
            emulator.faults.add("upload_file", status=400)
            with pytest.raises(BadRequestError) as caught:
                await domo.upload(b"x", name="x")
    assert [event.error for event in seen if isinstance(event, TransferFailed)] == [caught.value]
