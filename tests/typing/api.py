"""What users write, checked by mypy and never run."""

import pathlib
from collections.abc import AsyncIterator
from typing import assert_type

from domo_files_async import (
    AppSession,
    CommittedUpload,
    DataFile,
    DeveloperToken,
    DomoFilesSession,
    DownloadResult,
    Event,
    Grant,
    PermissionEntry,
    Permissions,
    Progress,
    RetryPolicy,
    Revision,
    SessionId,
    Surface,
    Timeouts,
    TransferConfig,
    UploadResult,
)


async def a_token() -> str:
    return "…"


def observe(event: Event) -> None:
    print(event.transfer)


def report(progress: Progress) -> None:
    print(progress.bytes_done, progress.bytes_total)


async def chunks() -> AsyncIterator[bytes]:
    yield b""


async def use() -> None:
    session = DomoFilesSession(
        "acme",
        auth=DeveloperToken(a_token),
        transfer=TransferConfig(max_concurrency=8, part_size=None),
        retry=RetryPolicy(max_attempts=3),
        timeouts=Timeouts(stall=30),
        observer=observe,
    )
    async with session as domo:
        assert_type(await domo.upload("a path"), UploadResult)
        await domo.upload(pathlib.Path("a path"), progress=report, verify="sha256")
        await domo.upload(chunks(), name="x", public=True, part_size=1)
        await domo.upload(b"bytes", data_file_id=401)
        with open("x", "rb") as opened:
            await domo.upload(opened)
        async with domo.open_upload("x") as writer:
            await writer.write(b"x")
        assert_type(writer.result, UploadResult)
        assert_type(await domo.download(401, "x", resume=False), DownloadResult)
        assert_type(await domo.list_files(ids=[401], expand=["metadata"]), list[DataFile])
        assert_type(await domo.get_file(401), DataFile)
        async with domo.open_download(401, byte_range=(0, None)) as stream:
            assert_type(stream.size, int | None)
            async for chunk in stream:
                assert_type(chunk, bytes)
        session_id = await domo.create_multipart_session(name="x", content_type="text/csv")
        assert_type(session_id, SessionId)
        await domo.upload_part(session_id, 1, b"x", checksum=None)
        assert_type(await domo.commit_multipart_session(session_id), CommittedUpload)
        entry = PermissionEntry("USER", "1", Grant.READ | Grant.WRITE)
        assert_type(await domo.grant_access(401, entry), Permissions)
        assert_type(await domo.revoke_access(401, ("USER", 1)), Permissions)
        assert_type(await domo.list_revisions(401), list[Revision])
    DomoFilesSession("http://localhost:3000", auth=AppSession("…"), surface=Surface.APP)
