"""What the emulator knows: users, data files, revisions, multipart sessions.

Facts are values in memory; with a folder each change is also a row in SQLite, so that a restart
finds all of them again.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import secrets
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, Any

import attrs
import cattrs

from domo_files_async.emulator.content import Blob, FolderVault, MemoryVault, make_folder

if TYPE_CHECKING:
    from pathlib import Path

    from domo_files_async.emulator.content import Vault

__all__ = ("DataFile", "Revision", "Store", "UploadSession", "User")

_FIRST_USER = 1_089_963_280
_FIRST_FILE = 401
_FIRST_REVISION = 430


@attrs.define
class User:
    """Somebody with a credential."""

    id: int
    name: str
    credential: str


@attrs.define
class Revision:
    """One version of a data file."""

    id: int
    content_type: str
    uploader: int
    uploaded: int
    elapsed: int
    size: int
    md5: str
    sha256: str
    blobs: list[Blob]
    scan_state: str = "SAFE"
    hidden_for: int = 0
    """How many more looks don't see it yet."""


@attrs.define
class DataFile:
    """A data file with its revisions, oldest first."""

    id: int
    name: str
    description: str | None
    owner: int
    created: int
    public: bool
    entries: list[dict[str, Any]]
    revisions: list[Revision]


@attrs.define
class UploadSession:
    """A multipart session."""

    id: str
    owner: int
    data_file_id: int | None
    name: str
    description: str | None
    content_type: str
    state: str = "open"
    made: tuple[int, int] | None = None
    parts: dict[int, Blob] = attrs.field(factory=dict)


_KINDS: dict[str, type[Any]] = {"user": User, "file": DataFile, "session": UploadSession}


class Store:
    """All facts, and where the bytes are.

    Args:
        folder: Where they are kept; `None` for memory only.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lock: IO[str] | None = None
        self._database: sqlite3.Connection | None = None
        # SQLite wants one thread, and a folder's rows want one order.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="emulator-store")
        self.vault: Vault = MemoryVault()
        self.users: dict[str, User] = {}
        self.files: dict[int, DataFile] = {}
        self.sessions: dict[str, UploadSession] = {}
        self._user_ids = itertools.count(_FIRST_USER)
        self._file_ids = itertools.count(_FIRST_FILE)
        self._revision_ids = itertools.count(_FIRST_REVISION)

    async def open(self) -> None:
        """Read what the folder has.

        Raises:
            RuntimeError: Another emulator has the folder open.
        """
        if self._folder is not None:
            await self._run(self._open, self._folder)

    async def close(self) -> None:
        """Let the folder go."""
        await self._run(self._close)
        self._thread.shutdown(wait=False)

    def user(self, name: str) -> User:
        """Give a user, who comes into being when first named."""
        if name not in self.users:
            self.users[name] = User(next(self._user_ids), name, secrets.token_hex(16))
            self._later("user", name, self.users[name])
        return self.users[name]

    def user_of(self, credential: str) -> User | None:
        """Give the user with this credential."""
        return next((one for one in self.users.values() if one.credential == credential), None)

    def next_file_id(self) -> int:
        """Give an id that no data file ever had."""
        return next(self._file_ids)

    def next_revision_id(self) -> int:
        """Give an id that no revision ever had."""
        return next(self._revision_ids)

    async def save_file(self, file: DataFile) -> None:
        """Keep a data file as it is now."""
        self.files[file.id] = file
        await self._keep("file", str(file.id), file)

    async def remove_file(self, file: DataFile) -> None:
        """Forget a data file."""
        self.files.pop(file.id, None)
        await self._keep("file", str(file.id), None)

    async def save_session(self, session: UploadSession) -> None:
        """Keep a multipart session as it is now, but for its parts."""
        self.sessions[session.id] = session
        await self._keep("session", session.id, attrs.evolve(session, parts={}))

    async def save_part(self, session: UploadSession, index: int, blob: Blob) -> None:
        """Keep a part in place of the one that was there."""
        old = session.parts.get(index)
        session.parts[index] = blob
        await self._keep("part", f"{session.id}/{index}", blob)
        if old is not None:
            await self.forget_blobs([old])

    async def drop_parts(self, session: UploadSession, *, with_bytes: bool) -> None:
        """Forget the parts of a session that is over."""
        blobs, indexes = list(session.parts.values()), list(session.parts)
        session.parts = {}
        if with_bytes:
            await self.forget_blobs(blobs)
        if self._folder is not None:
            await self._run(self._delete_parts, [f"{session.id}/{index}" for index in indexes])

    async def forget_blobs(self, blobs: list[Blob]) -> None:
        """Remove bytes that nothing refers to any more."""
        used = {
            blob.key for file in self.files.values() for r in file.revisions for blob in r.blobs
        }
        for blob in blobs:
            if blob.key not in used:
                await self._run(self.vault.remove, blob.key)

    def _later(self, kind: str, key: str, value: object) -> None:
        if self._folder is not None:
            self._thread.submit(self._write, kind, key, value)

    async def _keep(self, kind: str, key: str, value: object) -> None:
        if self._folder is not None:
            await self._run(self._write, kind, key, value)

    async def _run(self, function: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    def _write(self, kind: str, key: str, value: object) -> None:
        assert self._database is not None
        if value is None:
            self._database.execute("DELETE FROM facts WHERE kind = ? AND key = ?", (kind, key))
        else:
            text = json.dumps(cattrs.unstructure(value))
            self._database.execute("REPLACE INTO facts VALUES (?, ?, ?)", (kind, key, text))
        self._database.commit()

    def _delete_parts(self, keys: list[str]) -> None:
        assert self._database is not None
        self._database.executemany(
            "DELETE FROM facts WHERE kind = 'part' AND key = ?", [(key,) for key in keys]
        )
        self._database.commit()

    def _open(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder)
        self.vault = FolderVault(make_folder(folder))
        self._database = sqlite3.connect(folder / "facts.sqlite")
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS facts "
            "(kind TEXT, key TEXT, value TEXT, PRIMARY KEY (kind, key))"
        )
        rows = self._database.execute("SELECT kind, key, value FROM facts").fetchall()
        self._load([(kind, key, json.loads(text)) for kind, key, text in rows])

    def _load(self, rows: list[tuple[str, str, Any]]) -> None:
        read = {
            kind: {key: cattrs.structure(value, cls) for row, key, value in rows if row == kind}
            for kind, cls in _KINDS.items()
        }
        self.users, self.sessions = read["user"], read["session"]
        self.files = {file.id: file for file in read["file"].values()}
        for kind, key, value in rows:
            if kind == "part":
                session_id, _, index = key.rpartition("/")
                self.sessions[session_id].parts[int(index)] = cattrs.structure(value, Blob)
        made = [session.made for session in self.sessions.values() if session.made]
        files = [*self.files, *(one for one, _ in made)]
        revisions = [r.id for file in self.files.values() for r in file.revisions]
        revisions += [one for _, one in made]
        users = [user.id for user in self.users.values()]
        self._user_ids = itertools.count(max([_FIRST_USER - 1, *users]) + 1)
        self._file_ids = itertools.count(max([_FIRST_FILE - 1, *files]) + 1)
        self._revision_ids = itertools.count(max([_FIRST_REVISION - 1, *revisions]) + 1)

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
        if self._lock is not None:
            self._lock.close()


def _locked(folder: Path) -> IO[str]:
    lock = (folder / "lock").open("w")
    with contextlib.suppress(ImportError):
        import fcntl  # noqa: PLC0415 - not on every system

        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise RuntimeError(
                f"Another emulator has {folder} open: close it, or take another folder"
            ) from None
    return lock
