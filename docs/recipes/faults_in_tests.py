import pytest

from domo_files_async import PartUploadError


@pytest.mark.asyncio
@pytest.mark.domo_fault("upload_part", part=2, status=503, times=2)
async def test_a_part_that_fails_twice_arrives(domo_session, domo_emulator):
    result = await domo_session.upload(bytes(200_000), name="report.csv")
    assert await domo_emulator.content(result.data_file_id) == bytes(200_000)


@pytest.mark.asyncio
@pytest.mark.domo_fault("upload_part", part=2, status=503, times=None)
async def test_one_that_always_fails_publishes_nothing(domo_session, domo_emulator):
    with pytest.raises(PartUploadError):
        await domo_session.upload(bytes(200_000), name="report.csv")
    assert not domo_emulator.files
    assert not domo_emulator.open_sessions
