"""The SQLite file of a journal: one thread writes, in groups, and nothing else touches it.

What is handed in while a group is written goes with the next one, so that many small writes cost
little. A write that returned survives the process, whenever it is killed; after a power failure
the file is sound, but the last writes may be missing.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import os
import queue
import threading
import weakref
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
_begun: weakref.WeakSet[JournalFile] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for file in list(_begun):
        file.close()


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
        self._waiting: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._is_closed = False
        self._process = 0
        self._thread: threading.Thread | None = None
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
            if self._thread is None:
                # A daemon, since the interpreter waits for others before it says that it ends.
                self._thread = threading.Thread(
                    target=self._work, name="domo-files-journal", daemon=True
                )
                _begun.add(self)
                self._thread.start()
            self._waiting.put((job, done))
        return done

    async def run(self, job: Job[T]) -> T:
        """Have *job* done, and wait for it.

        Raises:
            JournalError: The file can't be used, or holds what can't be.
        """
        return await asyncio.shield(asyncio.wrap_future(self.hand_in(job)))

    def close(self) -> None:
        """Do what was handed in, then close; waits for it, so it belongs into a thread."""
        self.abandon()
        if self._thread is not None and self._process == os.getpid():
            self._thread.join()

    def abandon(self) -> None:
        """Do what was handed in, then close, without waiting for it.

        The garbage collector may call this while any lock is held, one of an executor's too, so
        it takes no other than its own, which the thread that has it may take again.
        """
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._waiting.put(None)

    def _work(self) -> None:
        while group := self._next_group():
            self.write(group)
            # A job may hold the journal, which is closed when nobody else has it any more.
            del group
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._owner is not None:
            self._owner.close()

    def _next_group(self) -> list[_Pending]:
        """Wait for something to do, and take all there is; nothing once it is closed."""
        group: list[_Pending] = []
        pending = self._waiting.get()
        while pending is not None:
            group.append(pending)
            try:
                pending = self._waiting.get_nowait()
            except queue.Empty:
                return group
        if group:
            self._waiting.put(None)
        return group

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
