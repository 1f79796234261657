"""What users write, for type checkers to read; nothing here runs."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, assert_type

import aiofiles

from domo_files_async import (
    COMPUTE,
    ApiError,
    AppSession,
    Auth,
    CommittedUpload,
    DataFile,
    DeveloperToken,
    DomoFilesError,
    DomoFilesSession,
    DownloadResult,
    DownloadStream,
    Event,
    FileMetadata,
    Grant,
    InvalidArgumentError,
    OutcomeUnknownError,
    PartSent,
    PartUploadError,
    PermissionEntry,
    Permissions,
    Progress,
    RequestFinished,
    RetryPolicy,
    Revision,
    ScanRejectedError,
    ScanTimeoutError,
    SessionId,
    Surface,
    Timeouts,
    TransferConfig,
    UploadResult,
)
from domo_files_async.emulator import Emulator

if TYPE_CHECKING:
    import ssl

    import aiohttp


class OwnAuth:
    """A credential of the user's own; it has the protocol without naming it."""

    async def headers(self) -> Mapping[str, str]:
        return {"X-DOMO-Developer-Token": "…"}

    async def refresh(self) -> bool:
        return False


class FormUpload:
    """As ASGI frameworks hand over a file that a form brought."""

    filename: str | None
    content_type: str | None
    file: BinaryIO

    async def read(self, size: int = -1) -> bytes:
        return self.file.read(size)

    async def seek(self, offset: int) -> None:
        self.file.seek(offset)


async def token() -> str:
    return "…"


async def chunks() -> AsyncIterator[bytes]:
    yield b"x"


def observe(event: Event) -> None:
    if isinstance(event, PartSent):
        assert_type(event, PartSent)
    if isinstance(event, RequestFinished):
        assert_type(event.operation, str)
    assert_type(event.transfer, int | None)


def show(done: Progress) -> None:
    assert_type(done.bytes_done, int)
    assert_type(done.bytes_total, int | None)
    assert_type(done.parts_total, int | None)


async def sessions(tls: ssl.SSLContext, client: aiohttp.ClientSession) -> None:
    auths: list[Auth] = [
        DeveloperToken("…"),
        DeveloperToken(token),
        DeveloperToken(lambda: "…"),
        AppSession("…", header="X-DOMO-Ryuu-Token"),
        OwnAuth(),
    ]
    async with DomoFilesSession("acme", auth=OwnAuth()) as domo:
        assert_type(domo, DomoFilesSession)
    async with DomoFilesSession(
        "https://acme.domo.com/prefix",
        auth=auths[0],
        surface=Surface.PRODUCT,
        transfer=TransferConfig(max_concurrency=8, part_size=None, memory_budget=1 << 27),
        retry=RetryPolicy(max_attempts=3, initial_backoff=0.5, jitter=1),
        timeouts=Timeouts(connect=10, stall=120),
        ssl=tls,
        proxy="http://proxy:3128",
        trust_env=True,
        http=client,
        observer=observe,
        user_agent="mine/1.0",
        allow_insecure=False,
    ) as domo:
        assert_type(domo.surface, Surface)
        domo.set_upload_rate(1e6)
        domo.set_upload_rate(None)
    async with DomoFilesSession.from_env(observer=observe) as domo:
        assert_type(domo, DomoFilesSession)


async def endpoints(domo: DomoFilesSession) -> None:
    data_file_id = await domo.upload_file("orders.csv", description="…", public=True)
    assert_type(data_file_id, int)
    assert_type(await domo.upload_revision(data_file_id, b"x", content_type="text/csv"), int)
    assert_type(await domo.list_files(), list[DataFile])
    assert_type(await domo.list_files(ids={1, 2}, expand=["revisions"]), list[DataFile])
    assert_type(
        await domo.list_files(ids=(n for n in range(9)), limit_to_owned=True), list[DataFile]
    )
    assert_type(await domo.get_file(1, expand=("revisions", "metadata")), DataFile)
    assert_type(await domo.get_permissions(1), Permissions)
    assert_type(await domo.grant_access(1, PermissionEntry("USER", 7, Grant.READ)), Permissions)
    assert_type(await domo.grant_access(1, PermissionEntry("USER", "7", "READ")), Permissions)
    assert_type(await domo.revoke_access(1, ("USER", 7), ("GROUP", "8")), Permissions)
    assert_type(await domo.wait_for_scan(1, timeout=60), DataFile)
    assert_type(await domo.get_revision(1, -1), Revision)
    assert_type(await domo.list_revisions(1), list[Revision])
    assert_type(await domo.copy_revision(1, 2), int)
    assert_type(await domo.duplicate_file(1), DataFile)
    await domo.delete_file(1)
    await domo.delete_revision(1, 2)


async def multipart(domo: DomoFilesSession) -> None:
    session_id = await domo.create_multipart_session(name="x", content_type="text/csv")
    assert_type(session_id, SessionId)
    update = await domo.create_multipart_update_session(1, name="x", content_type="text/csv")
    await domo.upload_part(session_id, 1, memoryview(b"x"))
    await domo.upload_part(session_id, 2, bytearray(b"x"), checksum=COMPUTE)
    await domo.upload_part("from elsewhere", 3, b"x", checksum=None, content_type="text/csv")
    await domo.upload_part(session_id, 4, b"x", checksum="0" * 64)
    made = await domo.commit_multipart_session(session_id)
    assert_type(made, CommittedUpload)
    assert_type((made.data_file_id, made.revision_id), tuple[int, int])
    await domo.abort_multipart_session(update)


async def models(domo: DomoFilesSession) -> None:
    file = await domo.get_file(1)
    assert_type(file.name, str)
    assert_type(file.current_revision, Revision | None)
    assert_type(file.revisions, tuple[Revision, ...])
    assert_type(file.datetime_created, datetime | None)
    assert_type(file.metadata, FileMetadata | None)
    if file.current_revision is not None:
        assert_type(file.current_revision.data_file_revision_id, int)
        assert_type(file.current_revision.size_bytes, int | None)
        assert_type(file.current_revision.sha256_hash_value, str | None)
    permissions = await domo.get_permissions(1)
    changed = permissions.with_entry(
        PermissionEntry(entity_type="USER", entity_id=7, grant=Grant.READ | Grant.WRITE)
    ).without_entry("GROUP", 8)
    assert_type(changed.with_public_access(True), Permissions)
    await domo.update_permissions(1, changed)
    for entry in changed.entries:
        assert_type(entry, PermissionEntry)
        assert_type(entry.entity_id, str)
        assert_type(entry.grant, Grant | str)
        assert_type(entry.pass_, str | None)
        assert_type(entry.principal, tuple[str, str])
    if permissions == Permissions(public_access=True, entries=[]):
        assert_type(Grant.parse("READ_WRITE"), Grant | str)


async def sources(domo: DomoFilesSession, form: FormUpload, opened: IO[bytes]) -> None:
    assert_type(await domo.upload("orders.parquet"), UploadResult)
    await domo.upload(Path("orders.parquet"), progress=show, verify="sha256")
    await domo.upload(b"x", name="x", description="…", public=None, content_type="text/csv")
    await domo.upload(memoryview(b"x"), data_file_id=1, part_size=1 << 20, verify="none")
    await domo.upload(io.BytesIO(b"x"), name="x")
    await domo.upload(opened)
    await domo.upload(chunks(), name="x")
    await domo.upload(form)
    async with aiofiles.open("orders.parquet", "rb") as file:
        await domo.upload(file)
    with Path("orders.parquet").open("rb") as file_object:
        await domo.upload(file_object, verify="parts")


async def writing(domo: DomoFilesSession) -> None:
    async with domo.open_upload("x.csv", content_type="text/csv", progress=show) as writer:
        await writer.write(b"x")
        await writer.write(bytearray(b"x"))
    assert_type(writer.result, UploadResult)
    assert_type(writer.result.revision_id, int | None)
    async with domo.open_upload(data_file_id=1, verify="sha256") as writer:
        await writer.write(memoryview(b"x"))


async def downloads(domo: DomoFilesSession, opened: IO[bytes]) -> None:
    result = await domo.download(1, "here", revision_id=2, progress=show, overwrite=True)
    assert_type(result, DownloadResult)
    assert_type(result.path, Path | None)
    await domo.download(1, Path("here"), verify=False)
    await domo.download(1, io.BytesIO())
    await domo.download(1, opened)
    async with aiofiles.open("here", "wb") as file:
        await domo.download(1, file)
    async with domo.open_download(1, revision_id=2, byte_range=(0, None)) as stream:
        assert_type(stream, DownloadStream)
        assert_type(stream.size, int | None)
        assert_type(stream.filename, str | None)
        assert_type(stream.content_type, str | None)
        assert_type(stream.etag, str | None)
        async for chunk in stream:
            assert_type(chunk, bytes)
        assert_type(await stream.read(), bytes)


async def errors(domo: DomoFilesSession) -> str | None:
    try:
        await domo.upload("orders.parquet")
        await domo.wait_for_scan(1, timeout=1.5)
    except PartUploadError as error:
        assert_type((error.index, error.attempts), tuple[int, int])
        assert_type(error.cause, DomoFilesError)
    except OutcomeUnknownError as error:
        assert_type(error.data_file_id, int | None)
        return error.seen
    except (ScanTimeoutError, InvalidArgumentError) as error:
        late: TimeoutError | ValueError = error
        return str(late)
    except ScanRejectedError as error:
        return error.scan_state
    except ApiError as error:
        assert_type(error.status, int)
        assert_type(error.retry_after, float | None)
        return error.toe
    return None


async def in_tests(folder: Path) -> None:
    async with (
        Emulator(folder) as emulator,
        emulator.session("ada", surface=Surface.APP, observer=observe) as domo,
    ):
        assert_type(domo, DomoFilesSession)
        assert_type(emulator.url, str)
        assert_type(emulator.user_id("ada"), int)
        assert_type(emulator.auth("ada"), Auth)
        emulator.faults.add("upload_part", status=503, times=2, headers={"Retry-After": "1"})
        assert not emulator.faults.pending
        for request in emulator.requests:
            assert_type(request.operation, str)
            assert_type(request.query, Mapping[str, str])


async def together(domo: DomoFilesSession) -> list[UploadResult]:
    return await asyncio.gather(*(domo.upload(path) for path in ("a", "b")))
