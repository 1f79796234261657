"""The session: a coroutine for every endpoint, and the uploads and downloads that stand on them.

It checks who calls and names the work; `engine` moves the bytes, `transport` the requests.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Self

from domo_files_async.auth import AppSession, DeveloperToken
from domo_files_async.config import RetryPolicy, Surface, Timeouts, TransferConfig
from domo_files_async.engine import download as downloads
from domo_files_async.engine import endpoints
from domo_files_async.engine import upload as uploads
from domo_files_async.engine.endpoints import COMPUTE
from domo_files_async.engine.observers import Observers
from domo_files_async.engine.options import check_options
from domo_files_async.engine.shared import check_loop, close_shared, finished, open_shared
from domo_files_async.engine.writer import UploadWriter, open_writer
from domo_files_async.errors import InvalidArgumentError, SessionStateError
from domo_files_async.protocol import requests
from domo_files_async.protocol.surface import parse_instance, surface_rules

if TYPE_CHECKING:
    import ssl as tls
    from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from datetime import datetime
    from types import TracebackType

    from domo_files_async.auth import Auth
    from domo_files_async.engine.destination import DownloadOutput
    from domo_files_async.engine.download import DownloadStream
    from domo_files_async.engine.endpoints import Checksum
    from domo_files_async.engine.journal import UploadJournal
    from domo_files_async.engine.shared import Shared
    from domo_files_async.engine.source import BytesLike, UploadInput
    from domo_files_async.engine.upload import Verify
    from domo_files_async.events import Observer, ProgressFunction
    from domo_files_async.models import (
        CommittedUpload,
        DataFile,
        DownloadResult,
        PermissionEntry,
        Permissions,
        Revision,
        SessionId,
        UploadResult,
    )
    from domo_files_async.transport.tls import TlsContext
    from domo_files_async.transport.wire import HttpClient

__all__ = ("DomoFilesSession",)


class DomoFilesSession:
    """Domo's Files API for any number of tasks of one event loop.

    Use it with `async with`: its limits hold for all that it does together, and what is not
    awaited at the end is cancelled and cleaned up.

    What sends something may raise, besides what it names: `SessionStateError` outside of the
    `async with`, or in another loop, thread or process; `UnexpectedResponseError` where a reply
    isn't what the API promises.

    Args:
        instance: `"acme"` for `https://acme.domo.com`, a host, or a URL with a prefix or port.
        auth: A `DeveloperToken`, an `AppSession`, or whatever has the `Auth` protocol.
        surface: Which way in; by default the credential's own.
        transfer: How bytes are moved.
        retry: When a failed attempt is followed by another.
        timeouts: How long nothing may happen.
        ssl: Of the connections, an `ssl.SSLContext` or the extra's `OpenSSLContext`; by default
            certificates are verified as the system does.
        proxy: URL of a proxy.
        trust_env: Whether the environment may name a proxy, and the user's netrc file its password;
            with *http*, that session's own setting counts.
        http: An `aiohttp.ClientSession` of the caller's; it is used, not closed.
        observer: A plain function that is told of all events, on the loop.
        user_agent: What the session is called; by default the library's name and version.
        allow_insecure: Allow plain http to other machines, which shows the credential on the way.

    Raises:
        InvalidArgumentError: An argument can't be right.
    """

    def __init__(
        self,
        instance: str,
        *,
        auth: Auth,
        surface: Surface | None = None,
        transfer: TransferConfig = TransferConfig(),  # noqa: B008 - frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008
        timeouts: Timeouts = Timeouts(),  # noqa: B008
        ssl: tls.SSLContext | TlsContext | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
        http: HttpClient | None = None,
        observer: Observer | None = None,
        user_agent: str | None = None,
        allow_insecure: bool = False,
    ) -> None:
        self._options: dict[str, Any] = {
            "auth": auth,
            "transfer": transfer,
            "retry": retry,
            "timeouts": timeouts,
            "ssl": ssl,
            "proxy": proxy,
            "trust_env": trust_env,
            "http": http,
            "observer": observer,
            "user_agent": user_agent,
        }
        here = {"surface": surface, "allow_insecure": allow_insecure}
        check_options({**self._options, **here})
        self._instance = parse_instance(instance, allow_insecure=allow_insecure)
        own: Surface = getattr(auth, "surface", Surface.PRODUCT)
        self._rules = surface_rules(surface or own, prefix=self._instance.prefix)
        self._options["observer"] = self._observers = Observers(observer)
        self._opened: AbstractAsyncContextManager[Shared] | None = None
        self._shared: Shared | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process = 0
        self._tasks: Counter[asyncio.Task[Any]] = Counter()
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    def from_env(cls, **options: Any) -> Self:
        """Make a session of what the environment says.

        `DOMO_INSTANCE` and `DOMO_ACCESS_TOKEN` for the product surface, or `DOMO_URL` and
        `DOMO_APP_SESSION` for the app surface.

        Args:
            options: Keywords of the session's own, but for `auth`.

        Raises:
            InvalidArgumentError: Neither pair is there.
        """
        instance, token = os.environ.get("DOMO_INSTANCE"), os.environ.get("DOMO_ACCESS_TOKEN")
        if instance and token:
            return cls(instance, auth=DeveloperToken(token), **options)
        url, app_session = os.environ.get("DOMO_URL"), os.environ.get("DOMO_APP_SESSION")
        if url and app_session:
            return cls(url, auth=AppSession(app_session), **options)
        raise InvalidArgumentError(
            "The environment names no instance: set DOMO_INSTANCE and DOMO_ACCESS_TOKEN, or "
            "DOMO_URL and DOMO_APP_SESSION"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.instance!r}, surface={self._rules.surface.name})"

    @property
    def surface(self) -> Surface:
        """Which of the two ways in this session uses."""
        return self._rules.surface

    @property
    def transfer(self) -> TransferConfig:
        """How it moves bytes."""
        config: TransferConfig = self._options["transfer"]
        return config

    @property
    def instance(self) -> str:
        """Where it goes: origin and prefix, such as `https://acme.domo.com`."""
        return self._instance.url

    async def __aenter__(self) -> Self:
        if self._opened is not None:
            raise SessionStateError("A session is entered once: make a new one")
        self._opened = open_shared(self._instance, self._rules, **self._options)
        self._shared = await self._opened.__aenter__()
        self._loop, self._process = asyncio.get_running_loop(), os.getpid()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._check()
        assert self._opened is not None
        self._shared = None
        others = {task for task in self._tasks if task is not asyncio.current_task()}
        self._closing = asyncio.create_task(close_shared(self._opened, others))
        await finished(self._closing)

    def _check(self) -> Shared:
        if self._shared is None:
            when = "before" if self._opened is None else "after"
            raise SessionStateError(
                f"This session is used {when} its `async with`: do it inside of the block"
            )
        check_loop(self._loop, self._process)
        return self._shared

    @contextmanager
    def _using(self) -> Iterator[Shared]:
        shared = self._check()
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] += 1
        try:
            yield shared
        finally:
            self._tasks[task] -= 1
            if not self._tasks[task]:
                del self._tasks[task]

    def observing(self, observer: Observer) -> AbstractContextManager[None]:
        """Tell one more observer of all events, for as long as a `with` lasts.

        Args:
            observer: A plain function, called on the loop; an exception in it is logged and harms
                nothing.

        Returns:
            A context manager for that `with`.
        """
        return self._observers.joined(observer)

    def server_time(self) -> datetime | None:
        """Give the earliest that the server's clock can show now; `None` before its first reply."""
        shared = self._check()
        return shared.clock.since(asyncio.get_running_loop().time())

    def set_upload_rate(self, bytes_per_second: float | None) -> None:
        """Change the bandwidth cap of all uploads together; `None` lifts it.

        Args:
            bytes_per_second: A finite number above 0, or `None`.

        Raises:
            InvalidArgumentError: It is something else.
            SessionStateError: The session isn't open, or is another loop's.
        """
        shared = self._check()
        TransferConfig(max_upload_bytes_per_second=bytes_per_second)
        shared.limits.set_rate(bytes_per_second)

    async def upload_file(
        self,
        source: UploadInput,
        *,
        name: str | None = None,
        description: str | None = None,
        public: bool = False,
        content_type: str | None = None,
    ) -> int:
        """Upload a new data file in one request.

        Args:
            source: A path, bytes, a binary file object, an async iterator or an ASGI upload.
            name: The data file's; by default the source's own.
            description: The data file's.
            public: Whether all users of the instance may read it.
            content_type: By default guessed from the name.

        Returns:
            The data file's id.

        Raises:
            InvalidArgumentError: An argument, or what a stream gave, can't be right; nothing was
                made.
            SourceError: The source can't be read, or changed meanwhile; nothing was made.
            ApiError: The server refused.
            TransportError: The network failed before all was sent; nothing was made.
            OutcomeUnknownError: The answer was lost, and looking didn't tell.

        Source: Files API, "Upload a file".
        """
        with self._using() as shared:
            return await endpoints.upload_file(
                shared,
                source,
                name=name,
                description=description,
                public=public,
                content_type=content_type,
            )

    async def upload_revision(
        self, data_file_id: int, source: UploadInput, *, content_type: str | None = None
    ) -> int:
        """Upload a new revision of a data file in one request.

        Args:
            data_file_id: The data file.
            source: A path, bytes, a binary file object, an async iterator or an ASGI upload.
            content_type: By default guessed from the source's name.

        Returns:
            The revision's id.

        Raises:
            InvalidArgumentError: An argument, or what a stream gave, can't be right; nothing was
                made.
            SourceError: The source can't be read, or changed meanwhile; nothing was made.
            ApiError: The server refused; `NotFoundError` where there is no such data file.
            TransportError: The network failed before all was sent; nothing was made.
            OutcomeUnknownError: The answer was lost, and looking didn't tell.

        Source: Files API, "Upload a file revision".
        """
        with self._using() as shared:
            return await endpoints.upload_revision(
                shared, data_file_id, source, content_type=content_type
            )

    async def list_files(
        self,
        *,
        ids: Iterable[int] | None = None,
        expand: Sequence[str] = (),
        limit_to_owned: bool = False,
    ) -> list[DataFile]:
        """List data files that the caller can see.

        Args:
            ids: Only these, in this order; those that the server doesn't know are left out.
            expand: `"revisions"`, `"metadata"` or both.
            limit_to_owned: Only those that the caller uploaded.

        Returns:
            The data files; with *ids*, each once.

        Raises:
            InvalidArgumentError: An argument can't be right; nothing was sent.
            ApiError: The server refused or failed.
            TransportError: No complete answer came.

        Source: Files API, "Get all files metadata".
        """
        with self._using() as shared:
            return await endpoints.list_files(
                shared, ids=ids, expand=expand, limit_to_owned=limit_to_owned
            )

    async def get_file(self, data_file_id: int, *, expand: Sequence[str] = ()) -> DataFile:
        """Get a data file's metadata.

        Args:
            data_file_id: The data file.
            expand: `"revisions"`, `"metadata"` or both.

        Returns:
            The data file, with what *expand* asks for.

        Raises:
            InvalidArgumentError: An argument can't be right; nothing was sent.
            ApiError: The server refused or failed; `NotFoundError` where there is no such file.
            TransportError: No complete answer came.

        Source: Files API, "Get file metadata by ID".
        """
        with self._using() as shared:
            request = requests.get_file(shared.rules, data_file_id, expand=expand)
            return await shared.attempts.send(request)

    def open_download(
        self,
        data_file_id: int,
        *,
        revision_id: int | None = None,
        byte_range: tuple[int, int | None] | None = None,
    ) -> AbstractAsyncContextManager[DownloadStream]:
        """Open a download, to be read in chunks inside of an `async with`.

        Args:
            data_file_id: The data file.
            revision_id: Which revision; `None` for the current one.
            byte_range: The first byte and the one after the last, or `None` for the end.

        Returns:
            An async context manager that sends the request, and gives a `DownloadStream`.

        Raises:
            InvalidArgumentError: An argument can't be right; nothing was sent.
            ApiError: The server refused or failed; `NotFoundError` where it isn't there.
            TransportError: No answer came, or it broke off while it was read.

        Source: Files API, "Download a file".
        """
        shared = self._check()
        requests.download(
            shared.rules, data_file_id, revision_id=revision_id, byte_range=byte_range
        )
        return self._open_download(data_file_id, revision_id, byte_range)

    @asynccontextmanager
    async def _open_download(
        self,
        data_file_id: int,
        revision_id: int | None,
        byte_range: tuple[int, int | None] | None,
    ) -> AsyncIterator[DownloadStream]:
        with self._using() as shared:
            async with downloads.open_stream(
                shared, data_file_id, revision_id, byte_range
            ) as stream:
                yield stream

    async def delete_revision(self, data_file_id: int, revision_id: int) -> None:
        """Delete one revision for good; if it is the current one, the one before it becomes that.

        Args:
            data_file_id: The data file.
            revision_id: Which of its revisions.

        Raises:
            InvalidArgumentError: An argument can't be right; nothing was sent.
            ApiError: The server refused or failed; `NotFoundError` where it isn't there.
            TransportError: No complete answer came.

        Source: Files API, "Delete a file".
        """
        with self._using() as shared:
            request = requests.delete_revision(shared.rules, data_file_id, revision_id)
            await endpoints.remove(shared, request)

    async def get_permissions(self, data_file_id: int) -> Permissions:
        """Get who may do what with a data file.

        Args:
            data_file_id: The data file.

        Returns:
            Its permissions.

        Raises:
            InvalidArgumentError: An argument can't be right; nothing was sent.
            ApiError: The server refused or failed; `NotFoundError` where there is no such file.
            TransportError: No complete answer came.

        Source: Files API, "Get file permissions".
        """
        with self._using() as shared:
            return await shared.attempts.send(requests.get_permissions(shared.rules, data_file_id))

    async def update_permissions(self, data_file_id: int, permissions: Permissions) -> None:
        """Set who may do what with a data file.

        Args:
            data_file_id: The data file.
            permissions: All of them, best as changed from what `get_permissions` gave.

        Raises:
            InvalidArgumentError: An argument can't be right; nothing was sent.
            ApiError: The server refused or failed; `NotFoundError` where there is no such file.
            TransportError: No complete answer came.

        Source: Files API, "Update file permissions".
        """
        with self._using() as shared:
            request = requests.update_permissions(shared.rules, data_file_id, permissions)
            await shared.attempts.send(request)

    async def grant_access(self, data_file_id: int, *entries: PermissionEntry) -> Permissions:
        """Add entries to a data file's permissions, in place of those their principals had.

        Args:
            data_file_id: The data file.
            entries: What each principal may do.

        Returns:
            The permissions as they are now.

        Raises:
            InvalidArgumentError: An argument can't be right; nothing was changed.
            ApiError: The server refused or failed; `NotFoundError` where there is no such file.
            TransportError: No complete answer came.

        Source: Files API, "Get file permissions" and "Update file permissions".
        """
        with self._using() as shared:
            return await endpoints.change_access(shared, data_file_id, entries=entries)

    async def revoke_access(
        self, data_file_id: int, *principals: tuple[str, str | int]
    ) -> Permissions:
        """Take principals out of a data file's permissions.

        Args:
            data_file_id: The data file.
            principals: Entity types and ids, such as `("USER", "1089963280")`.

        Returns:
            The permissions as they are now.

        Raises:
            InvalidArgumentError: An argument can't be right; nothing was sent.
            ApiError: The server refused or failed; `NotFoundError` where there is no such file.
            TransportError: No complete answer came.

        Source: Files API, "Get file permissions" and "Update file permissions".
        """
        with self._using() as shared:
            return await endpoints.change_access(shared, data_file_id, principals=principals)

    async def create_multipart_session(
        self, *, name: str, content_type: str, description: str | None = None
    ) -> SessionId:
        """Open a multipart session for a new data file; it is the caller's to end.

        Args:
            name: The data file's.
            content_type: Of the revision that it makes, such as `"text/csv"`.
            description: The data file's; `None` for none.

        Returns:
            The multipart session's id.

        Raises:
            InvalidArgumentError: An argument can't be right; nothing was sent.
            ApiError: The server refused or failed.
            TransportError: No complete answer came.

        Source: Multi-part Files API, "Creating a Multi-part Upload Session".
        """
        with self._using() as shared:
            request = requests.create_multipart_session(
                shared.rules, name=name, content_type=content_type, description=description
            )
            return await endpoints.create_session(shared, request, name=name, data_file_id=None)

    async def create_multipart_update_session(
        self, data_file_id: int, *, name: str, content_type: str, description: str | None = None
    ) -> SessionId:
        """Open a multipart session for a new revision; it is the caller's to end.

        Args:
            data_file_id: The data file that gets the revision.
            name: The data file's.
            content_type: Of the revision, such as `"text/csv"`.
            description: The data file's; `None` to send none.

        Returns:
            The multipart session's id.

        Raises:
            InvalidArgumentError: An argument can't be right; nothing was sent.
            ApiError: The server refused or failed; `NotFoundError` where there is no such file.
            TransportError: No complete answer came.

        Source: Multi-part Files API, "Creating a Multi-part Upload Update Session".
        """
        with self._using() as shared:
            request = requests.create_multipart_update_session(
                shared.rules,
                data_file_id,
                name=name,
                content_type=content_type,
                description=description,
            )
            return await endpoints.create_session(
                shared, request, name=name, data_file_id=data_file_id
            )

    async def upload_part(
        self,
        session_id: str,
        index: int,
        part: BytesLike,
        *,
        content_type: str = "application/octet-stream",
        checksum: Checksum = COMPUTE,
    ) -> None:
        """Upload one part; of two under one index the last one counts.

        Args:
            session_id: Of the multipart session.
            index: From 1 to 10,000.
            part: Its bytes.
            content_type: Of the file.
            checksum: SHA-256 in hex; by default computed here, `None` to send none.

        Raises:
            InvalidArgumentError: An argument can't be right; nothing was sent.
            ChecksumMismatchError: The server got other bytes.
            ApiError: The server refused or failed.
            TransportError: No complete answer came.

        Source: Multi-part Files API, "Uploading File Parts".
        """
        with self._using() as shared:
            await endpoints.upload_part(
                shared, session_id, index, part, content_type=content_type, checksum=checksum
            )

    async def commit_multipart_session(self, session_id: str) -> CommittedUpload:
        """Make a revision of a multipart session's parts.

        Args:
            session_id: Of the multipart session.

        Returns:
            Ids of the data file and of the revision.

        Raises:
            InvalidArgumentError: An argument can't be right; nothing was sent.
            ApiError: The server refused.
            TransportError: The network failed before all was sent; nothing was made.
            OutcomeUnknownError: The answer was lost, and looking didn't tell.

        Source: Multi-part Files API, "Completing a Multi-part Upload".
        """
        with self._using() as shared:
            return await endpoints.commit(shared, session_id)

    async def abort_multipart_session(self, session_id: str) -> None:
        """Drop a multipart session and its parts.

        Args:
            session_id: Of the multipart session.

        Raises:
            InvalidArgumentError: An argument can't be right; nothing was sent.
            ApiError: The server refused or failed.
            TransportError: No complete answer came.

        Source: Multi-part Files API, "Error Handling and Retry Mechanism".
        """
        with self._using() as shared:
            request = requests.abort_multipart_session(shared.rules, session_id)
            await endpoints.remove(shared, request)
            shared.drafts.forget(session_id)

    async def wait_for_scan(self, data_file_id: int, *, timeout: float) -> DataFile:  # noqa: ASYNC109 - bounds the waiting, not one request
        """Wait until the virus scan found a data file safe.

        Args:
            data_file_id: The data file.
            timeout: Seconds to wait at most; with 0 it is looked at once.

        Returns:
            The data file, now that the scan has found its current revision safe.

        Raises:
            ScanRejectedError: The scan refused it.
            ScanTimeoutError: It isn't over.
            InvalidArgumentError: An argument can't be right; nothing was sent.
            ApiError: The server refused or failed; `NotFoundError` where there is no such file.
            TransportError: No complete answer came.

        Source: Files API, "Get file metadata by ID".
        """
        with self._using() as shared:
            return await endpoints.wait_for_scan(shared, data_file_id, timeout=timeout)

    async def get_revision(self, data_file_id: int, revision_id: int) -> Revision:
        """Get one revision's details. Product surface only.

        Args:
            data_file_id: The data file.
            revision_id: Which of its revisions; -1 for the newest.

        Returns:
            The revision.

        Raises:
            UnsupportedOnSurfaceError: This session is on the app surface.
            InvalidArgumentError: An argument can't be right; nothing was sent.
            ApiError: The server refused or failed; `NotFoundError` where it isn't there.
            TransportError: No complete answer came.
        """
        with self._using() as shared:
            request = requests.get_revision(shared.rules, data_file_id, revision_id)
            return await shared.attempts.send(request)

    async def list_revisions(self, data_file_id: int) -> list[Revision]:
        """Get all revisions' details. Product surface only.

        Args:
            data_file_id: The data file.

        Returns:
            Its revisions, as the server orders them.

        Raises:
            UnsupportedOnSurfaceError: This session is on the app surface.
            InvalidArgumentError: An argument can't be right; nothing was sent.
            ApiError: The server refused or failed; `NotFoundError` where there is no such file.
            TransportError: No complete answer came.
        """
        with self._using() as shared:
            return await shared.attempts.send(requests.list_revisions(shared.rules, data_file_id))

    async def copy_revision(self, source_id: int, target_id: int) -> int:
        """Copy a data file's current revision as a new one of another. Product surface only.

        Args:
            source_id: The data file that is copied from.
            target_id: The data file that gets the revision.

        Returns:
            The new revision's id.

        Raises:
            UnsupportedOnSurfaceError: This session is on the app surface.
            InvalidArgumentError: An argument can't be right; nothing was sent.
            ApiError: The server refused; `NotFoundError` where one of the two isn't there.
            TransportError: The network failed before all was sent; nothing was made.
            OutcomeUnknownError: The answer was lost, and looking didn't tell.
        """
        with self._using() as shared:
            return await endpoints.copy_revision(shared, source_id, target_id)

    async def duplicate_file(self, data_file_id: int) -> DataFile:
        """Make a new data file with the same content. Product surface only.

        Args:
            data_file_id: The data file that is copied.

        Returns:
            The new data file.

        Raises:
            UnsupportedOnSurfaceError: This session is on the app surface.
            InvalidArgumentError: An argument can't be right; nothing was sent.
            ApiError: The server refused or failed; `NotFoundError` where there is no such file.
            TransportError: No complete answer came.
            OutcomeUnknownError: The answer was lost, and looking didn't tell.
        """
        with self._using() as shared:
            return await endpoints.duplicate_file(shared, data_file_id)

    async def delete_file(self, data_file_id: int) -> None:
        """Delete a data file with all its revisions for good. Product surface only.

        Args:
            data_file_id: The data file.

        Raises:
            UnsupportedOnSurfaceError: This session is on the app surface.
            InvalidArgumentError: An argument can't be right; nothing was sent.
            ApiError: The server refused or failed; `NotFoundError` where there is no such file.
            TransportError: No complete answer came.
        """
        with self._using() as shared:
            await endpoints.remove(shared, requests.delete_file(shared.rules, data_file_id))

    async def upload(
        self,
        source: UploadInput,
        *,
        name: str | None = None,
        description: str | None = None,
        public: bool | None = None,
        content_type: str | None = None,
        data_file_id: int | None = None,
        part_size: int | None = None,
        progress: ProgressFunction | None = None,
        journal: UploadJournal | None = None,
        verify: Verify = "parts",
    ) -> UploadResult:
        """Upload anything of any size: in one request, or in parallel parts with checksums.

        Args:
            source: A path, bytes, a binary file object (read from where it stands, left open), an
                async iterator of bytes, or an ASGI upload. Its size may be unknown.
            name: The data file's; by default the source's own, or what the data file has.
            description: The data file's; by default none, or what the data file has.
            public: Whether all users of the instance may read it; by default a new data file is
                private, and an existing one keeps its access.
            content_type: By default guessed from the name.
            data_file_id: The data file that gets a new revision; `None` for a new data file.
            part_size: Bytes in a part; by default `TransferConfig.part_size`. Where that is `None`,
                16 MiB, growing where 10,000 might not do, but for what can't be read again half of
                `TransferConfig.memory_budget` at most.
            progress: Told of each part that the server accepted, on the loop.
            journal: Lets a later run go on where this one ends, should the process die or the
                network fail; only for what can be read again. Parts that the server has are not
                sent again.
            verify: `"parts"`: each part goes with its SHA-256; `"sha256"`: the whole is compared
                with what the server stored, too; `"none"`: no checksum at all.

        Returns:
            What it made, once that is committed and has the access that was asked for.

        Raises:
            InvalidArgumentError: An argument, or what a stream gave, can't be right; nothing was
                committed.
            SourceError: The source can't be read, changed meanwhile, or is too large; nothing was
                committed, unless `verify="sha256"` found that out after the commit.
            ApiError: The server refused or failed; `AuthenticationError` where the credential isn't
                taken.
            TransportError: No complete answer came.
            PartUploadError: A part couldn't be sent; nothing was committed.
            OutcomeUnknownError: An answer was lost, and looking didn't tell.
            AccessNotSetError: It is there, but its access isn't what was asked for.
            ChecksumMismatchError: The server stored something else, or didn't tell what.
            JournalError: The journal can't be used, or somebody else uploads the same with it.

        Source: Files API, "Upload a file" and "Upload a file revision"; Multi-part Files API.
        """
        with self._using() as shared:
            target = uploads.Target(
                name=name,
                description=description,
                content_type=content_type,
                public=public,
                data_file_id=data_file_id,
            )
            return await uploads.upload(
                shared,
                source,
                target,
                part_size=part_size,
                progress=progress,
                journal=journal,
                verify=verify,
            )

    def open_upload(
        self,
        name: str | None = None,
        *,
        description: str | None = None,
        public: bool | None = None,
        content_type: str | None = None,
        data_file_id: int | None = None,
        part_size: int | None = None,
        progress: ProgressFunction | None = None,
        journal: UploadJournal | None = None,
        verify: Verify = "parts",
    ) -> AbstractAsyncContextManager[UploadWriter]:
        """Open an upload to be written to: commit on a clean exit, abort on an exception.

        Args:
            name: The data file's; with *data_file_id* it may be left out, to keep the one it has.
            description: As for `upload`, and so are the others.
            public: See `upload`.
            content_type: See `upload`.
            data_file_id: See `upload`.
            part_size: See `upload`.
            progress: See `upload`.
            journal: `None`: what is written can't be read again, so that no later process could
                go on with it.
            verify: See `upload`.

        Returns:
            An async context manager whose `write` takes bytes, and whose `result` is the
            `UploadResult` afterwards.

        Raises:
            InvalidArgumentError: There is a *journal*.
            SessionStateError: The session isn't open, or is another loop's.
            DomoFilesError: As for `upload`; from the next `write`, or when the block is left.
        """
        self._check()
        if journal is not None:
            raise InvalidArgumentError(
                "A journal is for what can be read again, and what is written can't: write it to a "
                "file and upload that, or leave the journal out"
            )

        def run(chunks: AsyncIterator[memoryview]) -> Awaitable[UploadResult]:
            return self.upload(
                chunks,
                name=name,
                description=description,
                public=public,
                content_type=content_type,
                data_file_id=data_file_id,
                part_size=part_size,
                progress=progress,
                verify=verify,
            )

        return open_writer(run, self._check)

    async def download(
        self,
        data_file_id: int,
        destination: DownloadOutput,
        *,
        revision_id: int | None = None,
        progress: ProgressFunction | None = None,
        verify: bool = True,
        overwrite: bool = False,
        resume: bool = True,
    ) -> DownloadResult:
        """Download a data file to where it appears complete and verified, or not at all.

        Args:
            data_file_id: The data file.
            destination: A file's path, a directory (for the file's own name, made safe), or an
                async or plain writable, in which what was written before a failure stays.
            revision_id: Which revision; `None` for the current one.
            progress: Told how many bytes came, on the loop.
            verify: Compare size and digest with the data file's metadata.
            overwrite: Replace an existing file, once the new one is complete.
            resume: Leave a hidden partial file beside the destination when it fails, and go on
                with the one that an earlier failure of the same revision left.

        Returns:
            What came, and where it is.

        Raises:
            InvalidArgumentError: An argument can't be right; nothing was sent.
            DestinationError: It exists already, or can't be written.
            ChecksumMismatchError: Other bytes came than the server says it has.
            ApiError: The server refused or failed; `AuthenticationError` where the credential isn't
                taken.
            TransportError: No answer came, or not all of it.

        Source: Files API, "Download a file" and "Get file metadata by ID".
        """
        with self._using() as shared:
            return await downloads.download(
                shared,
                data_file_id,
                destination,
                revision_id=revision_id,
                progress=progress,
                verify=verify,
                overwrite=overwrite,
                resume=resume,
            )
