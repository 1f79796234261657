"""The SQLite file of a journal: one thread writes, in groups, and nothing else touches it.

What is handed in while a group is written goes with the next one, so that many small writes cost
little. A write that returned survives the process, whenever it is killed; after a power failure
the file is sound, but the last writes may be missing.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from domo_files_async.engine.database import PATIENCE, WAY_OUT, prepare
from domo_files_async.engine.owners import Owner, forget_dead_owners, is_alive
from domo_files_async.errors import JournalError, SessionStateError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

__all__ = ("Job", "JournalFile")

T = TypeVar("T")
Job: TypeAlias = "Callable[[sqlite3.Connection], T]"
_Pending: TypeAlias = "tuple[Job[Any], concurrent.futures.Future[Any]]"

_APPLICATION = 0x446F6D6F

_TABLES = (
    """
    CREATE TABLE uploads (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        owner TEXT,
        instance TEXT NOT NULL,
        surface TEXT NOT NULL,
        identity TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        target TEXT NOT NULL,
        sent TEXT NOT NULL,
        size INTEGER NOT NULL,
        part_size INTEGER,
        began_at REAL NOT NULL,
        since TEXT
    )
    """,
    "CREATE INDEX uploads_by_identity ON uploads (identity)",
    """
    CREATE TABLE events (
        upload INTEGER NOT NULL,
        number INTEGER NOT NULL,
        event TEXT NOT NULL,
        PRIMARY KEY (upload, number)
    ) WITHOUT ROWID
    """,
)
_opening = threading.Lock()


class JournalFile:
    """A journal's file and the thread that works on it; opened when it is first needed.

    Args:
        path: Absolute.

    Attributes:
        active: Ids of the rows that this object's uploads work on; of the thread's only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.active: set[int] = set()
        # The garbage collector may abandon it wherever memory is asked for.
        self._lock = threading.RLock()
        self._waiting: deque[_Pending] = deque()
        self._is_writing = False
        self._is_closed = False
        self._process = 0
        self._thread: concurrent.futures.ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None
        self._owner: Owner | None = None

    @property
    def token(self) -> str:
        """What rows name as their owner."""
        assert self._owner is not None
        return self._owner.token

    def is_held(self, upload: int, owner: str | None) -> bool:
        """Say whether somebody alive works on a row."""
        if owner == self.token:
            return upload in self.active
        return owner is not None and is_alive(self.path, owner)

    def hand_in(self, job: Job[T]) -> concurrent.futures.Future[T]:
        """Have *job* done in its turn, whatever becomes of the caller.

        Raises:
            JournalError: It is closed.
            SessionStateError: It was opened by the process that this one was forked from.
        """
        done: concurrent.futures.Future[T] = concurrent.futures.Future()
        done.set_running_or_notify_cancel()
        with self._lock:
            if self._is_closed:
                raise JournalError(f"The journal {self.path} is closed: open another one")
            self._process = self._process or os.getpid()
            if self._process != os.getpid():
                raise SessionStateError(
                    f"The journal {self.path} belongs to another process: make one here"
                )
            self._waiting.append((job, done))
            if not self._is_writing:
                self._is_writing = True
                if self._thread is None:
                    self._thread = concurrent.futures.ThreadPoolExecutor(
                        1, thread_name_prefix="domo-files-journal"
                    )
                self._thread.submit(self._work)
        return done

    async def run(self, job: Job[T]) -> T:
        """Have *job* done, and wait for it.

        Raises:
            JournalError: The file can't be used, or holds what can't be.
        """
        return await asyncio.shield(asyncio.wrap_future(self.hand_in(job)))

    def close(self) -> None:
        """Do what was handed in, then close; waits for it, so it belongs into a thread."""
        thread = self._thread
        self.abandon()
        if thread is not None:
            thread.shutdown(wait=True)

    def abandon(self) -> None:
        """Do what was handed in, then close, without waiting for it."""
        with self._lock:
            self._is_closed = True
            thread, self._thread = self._thread, None
        if thread is None or self._process != os.getpid():
            return
        try:
            thread.submit(self._shut)
        except RuntimeError:
            # The interpreter ends, and has waited for its threads.
            self._shut()
        thread.shutdown(wait=False)

    def _shut(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._owner is not None:
            self._owner.close()

    def _work(self) -> None:
        while True:
            with self._lock:
                group = list(self._waiting)
                self._waiting.clear()
                if not group:
                    self._is_writing = False
                    return
            self.write(group)

    def write(self, group: list[_Pending]) -> None:
        """Do the jobs of a group as one transaction, in this thread."""
        ends: list[Callable[[], None]] = []
        try:
            connection = self._connection or self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                ends.extend(_end(connection, job, done, self.path) for job, done in group)
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it
            broken = _explained(error, self.path)
            for _, done in group:
                done.set_exception(broken)
            return
        for end in ends:
            end()

    def _open(self) -> sqlite3.Connection:
        connection = None
        owner = Owner(self.path)
        try:
            forget_dead_owners(self.path)
            # Closing a descriptor of the file ends the locks that SQLite holds in this process.
            with _opening:
                with contextlib.suppress(FileExistsError):
                    os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
                connection = _connect(self.path)
            _prepare(connection, self.path)
        except BaseException:
            if connection is not None:
                connection.close()
            owner.close()
            raise
        self._connection, self._owner = connection, owner
        return connection


def _connect(path: Path) -> sqlite3.Connection:
    import sqlite3  # noqa: PLC0415 - who keeps no journal doesn't wait for it

    return sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise JournalError(f"The journal {path} is damaged: {verdict}. {WAY_OUT}")
    prepare(
        connection,
        path,
        kind="an upload journal",
        application=_APPLICATION,
        version=1,
        tables=_TABLES,
    )
    connection.execute("PRAGMA synchronous = NORMAL")


def _end(
    connection: sqlite3.Connection,
    job: Job[T],
    done: concurrent.futures.Future[T],
    path: Path,
) -> Callable[[], None]:
    """Do one job; give what is to be done once the group is written."""
    connection.execute("SAVEPOINT job")
    try:
        result = job(connection)
    except Exception as error:  # noqa: BLE001 - one job's mistake isn't its neighbours'
        connection.execute("ROLLBACK TO job")
        connection.execute("RELEASE job")
        broken = _explained(error, path)
        return lambda: done.set_exception(broken)
    connection.execute("RELEASE job")
    return lambda: done.set_result(result)


def _explained(error: BaseException, path: Path) -> BaseException:
    import sqlite3  # noqa: PLC0415

    if isinstance(error, sqlite3.Error | OSError):
        explained = JournalError(f"The journal {path} can't be used: {error}. {WAY_OUT}")
        explained.__cause__ = error
        return explained
    return error
