"""The job's journal: items, how far they are and how they ended, in one SQLite file.

One thread reads and writes; what several callers write at once is one transaction. A caller that
returns from a write may be killed: it is in the file. Others may read it meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import operator
import os
import sqlite3
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, Any, TypeVar

import attrs

from domo_files_async.bulk.items import Item, is_text
from domo_files_async.bulk.plan import Failure, Known, State
from domo_files_async.engine.database import PATIENCE, prepare
from domo_files_async.errors import JournalError
from domo_files_async.models import PermissionEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ("LARGE", "Journal", "Row")

LARGE = 16 * 1024 * 1024
"""Bytes from which an item goes in the lane of large ones; so do those of unknown size."""

_APPLICATION = 0x444F4D46
_PAGE = 500

_TABLES = (
    """
CREATE TABLE items (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    source TEXT NOT NULL, name TEXT, description TEXT, content_type TEXT, public INTEGER,
    target INTEGER, grants TEXT, size INTEGER, fingerprint TEXT, is_large INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'new',
    run INTEGER, data_file_id INTEGER, revision_id INTEGER, done_fingerprint TEXT,
    failure TEXT, error TEXT, because TEXT, sent_size INTEGER, sha256 TEXT,
    needs_access INTEGER NOT NULL DEFAULT 0,
    flight_target INTEGER, flight_revision INTEGER, began TEXT, ended REAL,
    attempts INTEGER NOT NULL DEFAULT 0, elapsed REAL NOT NULL DEFAULT 0
)
    """,
    """
CREATE INDEX unsettled ON items (number) WHERE state IN ('started', 'unknown')
    """,
    """
CREATE TABLE revisions (
    item INTEGER NOT NULL, source_revision INTEGER NOT NULL, revision_id INTEGER,
    size INTEGER, sha256 TEXT, md5 TEXT,
    PRIMARY KEY (item, source_revision)
) WITHOUT ROWID
    """,
    """
CREATE TABLE runs (
    run INTEGER PRIMARY KEY, began REAL NOT NULL, alive REAL NOT NULL, ended REAL, because TEXT
)
    """,
    """
CREATE TABLE samples (
    run INTEGER NOT NULL, at REAL NOT NULL, figures TEXT NOT NULL, PRIMARY KEY (run, at)
) WITHOUT ROWID
    """,
)

_ADD = """
INSERT INTO items (key, source, name, description, content_type, public, target, grants, size,
    fingerprint, is_large)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET description = excluded.description,
    content_type = excluded.content_type, public = excluded.public, grants = excluded.grants,
    size = coalesce(excluded.size, size), is_large = excluded.is_large,
    fingerprint = coalesce(excluded.fingerprint, fingerprint),
    name = CASE WHEN state IN ('started', 'unknown') THEN name
        ELSE coalesce(excluded.name, name) END
"""
_COLUMNS = (
    "number, source, name, description, content_type, public, target, grants, size, fingerprint, "
    "state, data_file_id, revision_id, done_fingerprint, failure, error, because, sent_size, "
    "sha256, flight_target, flight_revision, began, run, attempts, elapsed, is_large, needs_access"
)

T = TypeVar("T")


@attrs.frozen
class Row:
    """An item as the journal has it.

    Attributes:
        number: The item's, in the order of adding.
        item: What was asked for.
        known: How far it is.
        because: What is to be known of how it ended.
        size: Bytes that were sent, or were being sent.
        sha256: Of them, where known.
        flight_target: The data file that was being revised; `None` where a new one was being made.
        flight_revision: The other instance's revision that was being sent.
        began: The earliest that the server's clock can have shown when it was sent, in ISO 8601.
        run: The run that had it last.
        attempts: How often its bytes were sent.
        elapsed: Seconds that it took.
        is_large: Whether it goes in the lane of large ones.
    """

    number: int
    item: Item
    known: Known
    because: str
    size: int | None
    sha256: str | None
    flight_target: int | None
    flight_revision: int | None
    began: str | None
    run: int | None
    attempts: int
    elapsed: float
    is_large: bool


class Journal:
    """A job's journal.

    Args:
        path: The file; it is made if need be, for its owner only.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="domo-files-journal")
        # Counting a million rows must not keep those waiting who write.
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="domo-files-status")
        self._reader: sqlite3.Connection | None = None
        self._database: sqlite3.Connection | None = None
        self._lock: IO[bytes] | None = None
        self._waiting: deque[tuple[str, tuple[Any, ...], asyncio.Future[None]]] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the file, or make it.

        Raises:
            JournalError: It is damaged, or no job's journal.
        """
        await self._do(self._open)

    async def close(self) -> None:
        """Write what waits, and let the file go."""
        if self._writing is not None:
            await self._writing
        with contextlib.suppress(RuntimeError):
            await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
            await asyncio.get_running_loop().run_in_executor(self._aside, self._close_reader)
        self._thread.shutdown(wait=False)
        self._aside.shutdown(wait=False)

    async def claim(self) -> None:
        """Keep other processes from running the job; a killed one holds it no longer.

        Raises:
            JournalError: Another process runs it.
        """
        await self._do(self._claim)

    async def release(self) -> None:
        """Let other processes run the job."""
        await self._do(self._release)

    async def add(self, items: Sequence[Item]) -> int:
        """Add a page of items, or what is new of those that are there; give how many were new."""
        return await self._do(self._add, items)

    async def write(self, statement: str, values: tuple[Any, ...]) -> None:
        """Change a row; return when the change is in the file.

        Raises:
            JournalError: It can't be written.
        """
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((statement, tuple(map(_readable, values)), done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        await done

    async def page(self, where: str, after: int = 0, *values: Any, limit: int = _PAGE) -> list[Row]:
        """Give the next rows.

        Args:
            where: Which of them, in SQL.
            after: The number of the last row of the page before.
            values: Of the placeholders in *where*.
            limit: How many at most.
        """
        return await self._do(self._page, where, after, values, limit)

    async def ask(self, question: str, *values: Any) -> list[tuple[Any, ...]]:
        """Give the rows of a question in SQL; for what is short."""
        return await self._do(self._ask, question, tuple(map(_kept, values)))

    async def look(self, question: str, *values: Any) -> list[tuple[Any, ...]]:
        """Give the rows of a question in SQL that may take long: nobody waits for it."""
        return await self._do_in(self._aside, self._look, question, values)

    async def counts(self) -> Mapping[str, tuple[int, int]]:
        """Give how many items are in each state, and their bytes."""
        rows = await self.look(
            "SELECT state, count(*), coalesce(sum(coalesce(sent_size, size, 0)), 0) FROM items "
            "GROUP BY state"
        )
        return {state: (count, size) for state, count, size in rows}

    async def _do(self, work: Callable[..., T], *values: Any) -> T:
        return await self._do_in(self._thread, work, *values)

    async def _do_in(self, threads: ThreadPoolExecutor, work: Callable[..., T], *values: Any) -> T:
        loop = asyncio.get_running_loop()
        try:
            working = loop.run_in_executor(threads, self._guarded, work, *values)
        except RuntimeError as error:
            raise JournalError(f"The job in {self.path} isn't open any more: {error}") from error
        return await working

    def _guarded(self, work: Callable[..., T], *values: Any) -> T:
        try:
            return work(*values)
        except (sqlite3.Error, OSError) as error:
            raise JournalError(
                f"The job's journal {self.path} can't be used: {error}. Nothing in it was changed "
                "by that; if it is damaged, take a copy of it from before, or another file"
            ) from error

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch = list(self._waiting)
                self._waiting.clear()
                try:
                    await self._do(self._apply, batch)
                except Exception as error:  # noqa: BLE001 - whoever waits for it is told
                    for *_, done in batch:
                        if not done.done():
                            done.set_exception(error)
                    continue
                for *_, done in batch:
                    if not done.done():
                        done.set_result(None)
        finally:
            self._writing = None

    def _open(self) -> None:
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        self._database = database = sqlite3.connect(
            self.path, timeout=PATIENCE, isolation_level=None
        )
        prepare(
            database,
            self.path,
            kind="the journal of a job",
            application=_APPLICATION,
            version=1,
            tables=_TABLES,
        )
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA cache_size = -8192")

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
        self._release()

    def _claim(self) -> None:
        try:
            import fcntl  # noqa: PLC0415 - not on every system
        except ImportError:
            return
        # Whoever comes by a link runs the same job.
        path = f"{os.path.realpath(self.path)}-lock"
        while self._lock is None:
            lock = open(path, "ab")  # noqa: SIM115, PTH123 - held until the release
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever had it may have removed it between the two.
                if _is_file(lock, path):
                    self._lock = lock
            except BlockingIOError:
                raise JournalError(
                    f"Another process runs the job in {self.path}: wait for it, or park it"
                ) from None
            finally:
                if self._lock is None:
                    lock.close()

    def _release(self) -> None:
        if self._lock is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._lock.name)  # noqa: PTH108
            self._lock.close()
            self._lock = None

    @property
    def _open_database(self) -> sqlite3.Connection:
        if self._database is None:
            raise JournalError(f"The job in {self.path} isn't open: use it inside its `async with`")
        return self._database

    def _add(self, items: Sequence[Item]) -> int:
        with self._transaction() as database:
            (before,) = database.execute("SELECT coalesce(max(number), 0) FROM items").fetchone()
            database.executemany(_ADD, map(_values, items))
            (after,) = database.execute("SELECT coalesce(max(number), 0) FROM items").fetchone()
        return int(after - before)

    def _apply(self, batch: Sequence[tuple[str, tuple[Any, ...], asyncio.Future[None]]]) -> None:
        with self._transaction() as database:
            for statement, group in itertools.groupby(batch, key=operator.itemgetter(0)):
                database.executemany(statement, [values for _, values, _ in group])

    def _page(self, where: str, after: int, values: tuple[Any, ...], limit: int) -> list[Row]:
        question = (
            f"SELECT {_COLUMNS} FROM items WHERE number > ? AND ({where}) ORDER BY number LIMIT ?"  # noqa: S608 - of this package's own words
        )
        return [_row(one) for one in self._open_database.execute(question, (after, *values, limit))]

    def _ask(self, question: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return self._open_database.execute(question, values).fetchall()

    def _look(self, question: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        if self._reader is None:
            self._reader = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
        return self._reader.execute(question, values).fetchall()

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        database = self._open_database
        database.execute("BEGIN IMMEDIATE")
        try:
            yield database
        except BaseException:
            database.execute("ROLLBACK")
            raise
        database.execute("COMMIT")


def _is_file(file: IO[bytes], path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))  # noqa: PTH116
    except FileNotFoundError:
        return False


def _values(item: Item) -> tuple[Any, ...]:
    grants = [[one.entity_type, one.entity_id, str(one.grant), one.pass_] for one in item.grants]
    is_large = item.size is None or item.size >= LARGE
    return (
        _kept(item.key),
        _kept(item.source),
        item.name,
        item.description,
        item.content_type,
        item.public,
        item.data_file_id,
        json.dumps(grants) if grants else None,
        item.size,
        item.fingerprint,
        is_large,
    )


def _kept(value: Any) -> Any:
    # A path of undecodable bytes is no text for SQLite.
    return os.fsencode(value) if isinstance(value, str) and not is_text(value) else value


def _readable(value: Any) -> Any:
    # An error's words have such a path in them.
    if isinstance(value, str) and not is_text(value):
        return value.encode(errors="backslashreplace").decode()
    return value


def _row(found: tuple[Any, ...]) -> Row:
    (number, source, name, description, content_type, public, target, grants, size) = found[:9]
    (fingerprint, state, data_file_id, revision_id, done_fingerprint, failure) = found[9:15]
    (error, because, sent_size, sha256, flight_target, flight_revision) = found[15:21]
    (began, run, attempts, elapsed, is_large, needs_access) = found[21:]
    return Row(
        number=number,
        item=Item(
            source=os.fsdecode(source),
            name=name,
            description=description,
            content_type=content_type,
            public=None if public is None else bool(public),
            data_file_id=target,
            grants=tuple(
                PermissionEntry(kind, entity, grant, passed)
                for kind, entity, grant, passed in json.loads(grants or "[]")
            ),
            size=size,
            fingerprint=fingerprint,
        ),
        known=Known(
            state=State(state),
            data_file_id=data_file_id,
            revision_id=revision_id,
            done_fingerprint=done_fingerprint,
            failure=None if failure is None else Failure(failure),
            error=error,
            needs_access=bool(needs_access),
        ),
        because=because or "",
        size=sent_size,
        sha256=sha256,
        flight_target=flight_target,
        flight_revision=flight_revision,
        began=began,
        run=run,
        attempts=attempts,
        elapsed=elapsed,
        is_large=bool(is_large),
    )
