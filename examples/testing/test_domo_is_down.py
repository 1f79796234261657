"""What if Domo is down in mid-upload? A test as you would write it for your own code."""

import pytest

from domo_files_async import PartUploadError


@pytest.mark.asyncio
@pytest.mark.domo_fault("upload_part", part=2, status=503, times=None)
async def test_nothing_is_published_when_domo_goes_down(domo_session, domo_emulator):
    with pytest.raises(PartUploadError):
        await domo_session.upload(bytes(200_000), name="report.csv")
    assert not domo_emulator.files
    assert not domo_emulator.open_sessions
