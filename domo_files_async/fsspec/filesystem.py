"""The file system: fsspec's operations, each one or a few calls of a session."""

from __future__ import annotations

import asyncio
import errno
import functools
import io
import itertools
import os
import stat
import time
import weakref
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fsspec.asyn import sync, sync_wrapper
from fsspec.callbacks import DEFAULT_CALLBACK

from domo_files_async.config import Surface
from domo_files_async.errors import InvalidArgumentError, NotFoundError
from domo_files_async.fsspec.files import (
    DomoFile,
    DomoStreamedFile,
    Opening,
    read_range,
    read_verified,
)
from domo_files_async.fsspec.many import ManyFiles
from domo_files_async.fsspec.paths import (
    ROOT,
    Listing,
    describe,
    directory_entry,
    is_id,
    is_name,
    known_size,
    not_found,
    os_errors,
    read_id,
)
from domo_files_async.fsspec.sessions import OnLoop, close_all
from domo_files_async.session import DomoFilesSession

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from domo_files_async.events import Progress, ProgressFunction
    from domo_files_async.models import DataFile, Revision

__all__ = ("DomoFileSystem",)

_VARIABLES = ("DOMO_INSTANCE", "DOMO_ACCESS_TOKEN", "DOMO_URL", "DOMO_APP_SESSION")
_BELIEVED = 1.0
_T = TypeVar("_T")
_OPTIONS = frozenset({"asynchronous", "loop", "batch_size", "use_listings_cache"})


def _looks_again(work: Callable[..., Awaitable[_T]]) -> Callable[..., Awaitable[_T]]:
    """Do it once more, with a new listing, where a name leads to a data file that is gone."""

    @functools.wraps(work)
    async def doing(fs: DomoFileSystem, *args: Any, **options: Any) -> _T:
        try:
            return await work(fs, *args, **options)
        except FileNotFoundError as error:
            if not isinstance(error.__cause__, NotFoundError) or is_id(error.filename):
                raise
            fs.invalidate_cache()
        return await work(fs, *args, **options)

    return doing


class _Environment:
    """A class attribute that differs where the environment names another instance or credential.

    Instances are cached by it. Python's hash is salted, so nothing can be told from it elsewhere.
    """

    def __get__(self, instance: object, owner: type) -> int:
        return hash(tuple(map(os.environ.get, _VARIABLES)))


class DomoFileSystem(ManyFiles):
    """Data files as files; a slash in a name makes it look like a directory.

    Writing to a name makes a new data file, or a new revision where there is one of that name;
    it is published when the file is closed, and not at all when it is closed by an exception.

    Args:
        session_factory: A plain function that makes a session, called once an event loop and
            process; by default the environment says which (`DomoFilesSession.from_env`). One
            that can be imported is pickled by its name, and no credential with it.
        listings_expiry_time: Seconds for which a listing is believed; `None` for ever. What
            this file system itself changes is seen at once; before a file is said not to be
            there it is asked for again, but by `exists`, `ls` and `glob`; and so it is before
            a name is written to, if the listing is a second old, or ten times what it took.
        options: fsspec's own: `asynchronous`, `loop`, `batch_size`, `use_listings_cache`.

    Raises:
        InvalidArgumentError: There is another option; a credential can't be one.
    """

    protocol = "domo"
    _environment = _Environment()
    _extra_tokenize_attributes = ("_environment",)

    def __init__(
        self,
        *,
        session_factory: Callable[[], DomoFilesSession] | None = None,
        listings_expiry_time: float | None = 5.0,
        **options: Any,
    ) -> None:
        if unknown := ", ".join(sorted(options.keys() - _OPTIONS)):
            raise InvalidArgumentError(
                f"There is no storage option {unknown}: the instance and its credential come from "
                "the environment or from session_factory, so that no credential is pickled"
            )
        super().__init__(listings_expiry_time=listings_expiry_time, **options)
        self._factory = session_factory or DomoFilesSession.from_env
        self._on_loops: dict[asyncio.AbstractEventLoop, OnLoop] = {}
        self._changed: set[tuple[int, int]] = set()
        self._changes = itertools.count()
        self._listed_at = self._listing_took = 0.0
        weakref.finalize(self, close_all, self._on_loops, os.getpid())

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        stripped = super()._strip_protocol(path)
        return stripped.lstrip("/") if isinstance(stripped, str) else stripped

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget the listing; there is one, of everything."""
        self.dircache.clear()
        super().invalidate_cache(path)

    def created(self, path: str) -> datetime | None:
        """Say when a data file was made, in UTC."""
        return self.info(path)["created"]  # type: ignore[no-any-return]

    def modified(self, path: str) -> datetime | None:
        """Say when a revision was uploaded, in UTC."""
        return self.info(path)["modified"]  # type: ignore[no-any-return]

    async def _close(self) -> None:
        """Close the session of this event loop; the next use opens another."""
        on_loop = self._on_loops.pop(asyncio.get_running_loop(), None)
        if on_loop is not None:
            await on_loop.close()

    close: Callable[..., None] = sync_wrapper(_close)

    async def _session(self) -> DomoFilesSession:
        return await self._on_this_loop().session()

    def _on_this_loop(self) -> OnLoop:
        loop = asyncio.get_running_loop()
        if loop not in self._on_loops:
            for other in [one for one in self._on_loops if one.is_closed()]:
                del self._on_loops[other]
            self._on_loops[loop] = OnLoop(self._factory)
        return self._on_loops[loop]

    async def _listing(self, *, to_write: bool = False) -> Listing:
        session = await self._session()
        async with self._on_this_loop().listing:
            listing: Listing | None = self.dircache.get(ROOT)
            if listing is None or (to_write and self._is_listing_old()):
                self._changed.clear()
                started = time.monotonic()
                listing = Listing(await session.list_files())
                self._listed_at = time.monotonic()
                self._listing_took = self._listed_at - started
                self.dircache[ROOT] = listing
            if self._changed:
                # What changes again meanwhile is another change, and stays to be asked for.
                seen = frozenset(self._changed)
                ids = frozenset(number for number, _ in seen)
                listing.replace(ids, await session.list_files(ids=ids))
                self._changed -= seen
            return listing

    def _is_listing_old(self) -> bool:
        """Whether to look again before a name is taken for free."""
        if self.dircache.listings_expiry_time is None:
            return False
        return time.monotonic() - self._listed_at > max(_BELIEVED, 10 * self._listing_took)

    def _note_change(self, number: int) -> None:
        self._changed.add((number, next(self._changes)))

    async def _listing_with(self, path: str) -> Listing:
        """Give a listing that lacks this path only if nobody has made it meanwhile."""
        kept = self.dircache.get(ROOT)
        listing = await self._listing()
        if listing is kept and not listing.ids(path):
            self.dircache.clear()
            listing = await self._listing()
        return listing

    async def _find_file(self, path: str) -> tuple[DataFile, Revision]:
        """Find one data file and the revision that a path means."""
        number, revision_id = read_id(path)
        if number is None:
            file = (await self._listing_with(path)).file(path)
        elif revision_id is None:
            file = await (await self._session()).get_file(number)
        else:
            file = await (await self._session()).get_file(number, expand=("revisions",))
        wanted = (file.current_revision, *file.revisions)
        for revision in wanted:
            if revision is not None and revision_id in {None, revision.data_file_revision_id}:
                return file, revision
        raise not_found(path)

    async def _is_directory(self, path: str) -> bool:
        """Whether a path is a directory: names of data files begin with it, and none is it."""
        if is_id(path):
            return False
        listing = await self._listing()
        return not listing.ids(path) and listing.is_directory(path)

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        with os_errors(path):
            if await self._is_directory(path):
                return directory_entry(path)
            file, revision = await self._find_file(path)
            return describe(path, file, revision)

    async def _exists(self, path: str, **_: Any) -> bool:
        path = self._strip_protocol(path)
        if is_id(path):
            return await super()._exists(path)  # type: ignore[no-any-return]
        with os_errors(path):
            listing = await self._listing()
            return bool(listing.ids(path)) or listing.is_directory(path)

    async def _ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        path = self._strip_protocol(path)
        with os_errors(path):
            if is_id(path):
                found = [await self._info(path)]
            else:
                found = (await self._listing()).entries(path)
        return found if detail else sorted({one["name"] for one in found})

    @_looks_again
    async def _cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        path = self._strip_protocol(path)
        with os_errors(path):
            file, revision = await self._find_file(path)
            number, revision_id = file.data_file_id, revision.data_file_revision_id
            if start is None and end is None:
                sink = io.BytesIO()
                session = await self._session()
                await session.download(number, sink, revision_id=revision_id)
                return sink.getvalue()
            first, stop, _step = slice(start, end).indices(known_size(path, revision))
            return await read_range(await self._session(), number, revision_id, first, stop)

    @_looks_again
    async def _get_file(
        self, rpath: str, lpath: str, callback: Any = DEFAULT_CALLBACK, **_: Any
    ) -> None:
        rpath = self._strip_protocol(rpath)
        with os_errors(rpath):
            if await self._is_directory(rpath):
                await asyncio.to_thread(Path(lpath).mkdir, parents=True, exist_ok=True)
                return
            file, revision = await self._find_file(rpath)
            if await asyncio.to_thread(Path(lpath).is_dir):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), lpath)
            await asyncio.to_thread(Path(lpath).parent.mkdir, parents=True, exist_ok=True)
            session = await self._session()
            await session.download(
                file.data_file_id,
                lpath,
                revision_id=revision.data_file_revision_id,
                overwrite=True,
                progress=_progress(callback),
            )

    @_looks_again
    async def _put_file(
        self,
        lpath: str,
        rpath: str,
        callback: Any = DEFAULT_CALLBACK,
        mode: str = "overwrite",
        content_type: str | None = None,
        **_: Any,
    ) -> None:
        # A source that isn't there is FileNotFoundError here, as fsspec's callers expect.
        if stat.S_ISDIR((await asyncio.to_thread(Path(lpath).stat)).st_mode):
            return
        rpath = self._strip_protocol(rpath)
        await self._upload(os.fspath(lpath), rpath, mode, content_type, _progress(callback))

    @_looks_again
    async def _pipe_file(
        self,
        path: str,
        value: bytes,
        mode: str = "overwrite",
        content_type: str | None = None,
        **_: Any,
    ) -> None:
        await self._upload(value, self._strip_protocol(path), mode, content_type)

    async def _upload(
        self,
        source: Any,
        path: str,
        mode: str = "overwrite",
        content_type: str | None = None,
        progress: ProgressFunction | None = None,
    ) -> None:
        with os_errors(path):
            target = await self._target(path, exclusive=mode == "create")
            session = await self._session()
            result = await session.upload(
                source, **target, content_type=content_type, progress=progress
            )
            self._note_change(result.data_file_id)

    async def _target(self, path: str, *, exclusive: bool) -> dict[str, Any]:
        """Say what an upload to a path is called, or of which data file it is a revision."""
        number, revision_id = read_id(path)
        if revision_id is not None:
            raise InvalidArgumentError(
                f"A revision isn't written again: write to {number}, which gets a new one"
            )
        if number is None:
            if not is_name(path):
                raise InvalidArgumentError(
                    f"{path!r} can't be written by name, since no path leads back to it: upload "
                    "it with a session, and use its id"
                )
            # Many new files in a row cost one listing, but "must be new" is asked of Domo.
            listing = await (
                self._listing_with(path) if exclusive else self._listing(to_write=True)
            )
            number = listing.file(path).data_file_id if listing.ids(path) else None
        else:
            await self._info(path)
        if exclusive and number is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        return {"name": path} if number is None else {"data_file_id": number}

    @_looks_again
    async def _cp_file(self, path1: str, path2: str, **_: Any) -> None:
        path1, path2 = self._strip_protocol(path1), self._strip_protocol(path2)
        with os_errors(path1):
            if await self._is_directory(path1):
                return
            file, revision = await self._find_file(path1)
            session = await self._session()
        with os_errors(path2):
            target = await self._target(path2, exclusive=False)
        number = target.get("data_file_id")
        if number is not None and revision == file.current_revision:
            if number == file.data_file_id:
                return
            if session.surface is Surface.PRODUCT:
                with os_errors(path2):
                    await session.copy_revision(file.data_file_id, number)
                self._note_change(number)
                return
        async with aclosing(read_verified(session, file.data_file_id, revision)) as chunks:
            await self._upload(chunks, path2, content_type=revision.content_type)

    async def _is_move(self, path1: str, path2: str) -> bool:
        """Whether there is a file to move, and it isn't the one that it would be moved to."""
        path1, path2 = self._strip_protocol(path1), self._strip_protocol(path2)
        with os_errors(path1):
            if await self._is_directory(path1):
                return False
            file, _ = await self._find_file(path1)
        with os_errors(path2):
            target = await self._target(path2, exclusive=False)
        return target.get("data_file_id") != file.data_file_id

    @_looks_again
    async def _rm_file(self, path: str, **_: Any) -> None:
        path = self._strip_protocol(path)
        number, revision_id = read_id(path)
        with os_errors(path):
            session = await self._session()
            if number is None:
                number = (await self._listing_with(path)).file(path).data_file_id
            if revision_id is None:
                await session.delete_file(number)
            else:
                await session.delete_revision(number, revision_id)
        self._note_change(number)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        cache_type: str = "readahead",
        content_type: str | None = None,
        **_: Any,
    ) -> DomoFile:
        opening = sync(self.loop, self._open_how, path, mode, content_type)
        return DomoFile(
            self,
            opening,
            mode=mode,
            block_size=block_size,
            autocommit=autocommit,
            cache_options=cache_options,
            cache_type=cache_type,
        )

    async def open_async(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        content_type: str | None = None,
        **_: Any,
    ) -> DomoStreamedFile:
        """Open a file whose `read`, `write` and `close` are coroutines.

        Args:
            path: The file's.
            mode: `"rb"`, `"wb"` or `"xb"`.
            block_size: Bytes that are gathered before they are uploaded.
            content_type: By default guessed from the name.
        """
        opening = await self._open_how(self._strip_protocol(path), mode, content_type)
        return DomoStreamedFile(self, opening, mode=mode, block_size=block_size)

    async def _open_how(self, path: str, mode: str, content_type: str | None) -> Opening:
        with os_errors(path):
            if mode == "rb":
                file, revision = await self._find_file(path)
                details = {**describe(path, file, revision), "size": known_size(path, revision)}
                return Opening(self._session, path, self._note_change, details=details)
            if mode not in {"wb", "xb"}:
                raise NotImplementedError(f"A file can't be opened as {mode!r}: rb, wb or xb")
            target = await self._target(path, exclusive=mode == "xb")
        target["content_type"] = content_type
        return Opening(self._session, path, self._note_change, target=target)


def _progress(callback: Any) -> ProgressFunction:
    def report(done: Progress) -> None:
        if callback.size != done.bytes_total and done.bytes_total is not None:
            callback.set_size(done.bytes_total)
        callback.absolute_update(done.bytes_done)

    return report
