"""What the emulator knows: users, data files, revisions, multipart sessions.

Facts are values in memory; with a folder each change is also a row in SQLite, so that a restart
finds all of them again.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import sqlite3
from collections import Counter
from typing import IO, TYPE_CHECKING, Any

import attrs
import cattrs

from domo_files_async.emulator.content import Blob, FolderVault, MemoryVault
from domo_files_async.emulator.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from domo_files_async.emulator.content import Vault

__all__ = ("DataFile", "Revision", "Store", "UploadSession", "User")

_FIRST_IDS = {"user": 1_089_963_280, "file": 401, "revision": 430}
_BYTE_THREADS = 4
_FACTS = "facts.sqlite"


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
    former: tuple[str, str | None] | None = None
    """Name and description that are seen while a revision is hidden."""


@attrs.define
class UploadSession:
    """A multipart session."""

    id: str
    owner: int
    data_file_id: int | None
    name: str
    description: str | None
    content_type: str
    opened: int = 0
    """In epoch milliseconds."""
    state: str = "open"
    made: tuple[int, int] | None = None
    parts: dict[int, Blob] = attrs.field(factory=dict)


_KINDS: dict[str, type[Any]] = {"user": User, "file": DataFile, "session": UploadSession}


class Store:
    """All facts, and where the bytes are.

    Args:
        folder: Where they are kept; `None` for memory only.

    Attributes:
        vault: Where the bytes are.
        workers: Who reads, writes and hashes them.
        files: Data files by id.
        sessions: Multipart sessions by id.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lock: IO[str] | None = None
        self._database: sqlite3.Connection | None = None
        # SQLite wants one thread, and a folder's rows want one order.
        self._clerk = Workers(1)
        self.workers = Workers(_BYTE_THREADS)
        self.vault: Vault = MemoryVault()
        self.files: dict[int, DataFile] = {}
        self.sessions: dict[str, UploadSession] = {}
        self._users: dict[str, User] = {}
        self._credentials: dict[str, User] = {}
        self._shared: Counter[str] = Counter()
        self._next_ids = dict(_FIRST_IDS)
        self._is_open = False

    async def open(self) -> None:
        """Read what the folder has.

        Raises:
            RuntimeError: Another emulator has the folder open.
        """
        self._is_open = True
        if self._folder is not None:
            await self._clerk.run(self._open, self._folder)

    async def close(self) -> None:
        """Let the folder go, when all is written."""
        await self.workers.close()
        self._clerk.submit(self._close)
        await self._clerk.close()

    def user(self, name: str) -> User:
        """Give a user, who comes into being when first named."""
        if self._folder is not None and not self._is_open and not self._users:
            self._read_users(self._folder / _FACTS)
        if name not in self._users:
            user = User(self._next_id("user"), name, secrets.token_hex(16))
            self._users[name] = self._credentials[user.credential] = user
            if self._folder is not None and self._is_open:
                self._clerk.submit(self._write, [("user", name, user), self._ids_row()])
        return self._users[name]

    @property
    def users(self) -> list[User]:
        """Everybody who was named, in that order."""
        return list(self._users.values())

    def user_of(self, credential: str) -> User | None:
        """Give the user with this credential."""
        return self._credentials.get(credential)

    def next_file_id(self) -> int:
        """Give an id that no data file ever had."""
        return self._next_id("file")

    def next_revision_id(self) -> int:
        """Give an id that no revision ever had."""
        return self._next_id("revision")

    async def save(self, *facts: DataFile | UploadSession) -> None:
        """Keep data files and multipart sessions as they are now, all of them or none.

        A data file without a revision goes, and so do the parts of a session that is over.
        """
        rows = [self._ids_row()]
        for fact in facts:
            if isinstance(fact, UploadSession):
                self.sessions[fact.id] = fact
                rows.append(("session", fact.id, attrs.evolve(fact, parts={})))
                if fact.state != "open":
                    rows.append(("parts", fact.id, None))
            elif fact.revisions:
                self.files[fact.id] = fact
                rows.append(("file", str(fact.id), fact))
            else:
                self.files.pop(fact.id, None)
                rows.append(("file", str(fact.id), None))
        if self._folder is not None:
            await self._clerk.run(self._write, rows)

    async def save_part(self, session: UploadSession, index: int, blob: Blob) -> None:
        """Keep a part in place of the one that was there."""
        old = session.parts.get(index)
        session.parts[index] = blob
        if self._folder is not None:
            await self._clerk.run(self._write, [("part", f"{session.id}/{index}", blob)])
        if old is not None:
            await self.release([old])

    def hold(self, blobs: Iterable[Blob]) -> None:
        """Count one more who needs these bytes; there is one from the start."""
        self._shared.update(blob.key for blob in blobs)

    async def release(self, blobs: Iterable[Blob]) -> None:
        """Count one less who needs these bytes; without any they are removed."""
        gone = []
        for blob in blobs:
            if self._shared[blob.key]:
                self._shared[blob.key] -= 1
            else:
                del self._shared[blob.key]
                gone.append(blob.key)
        if not self.vault.blocks:
            self.vault.remove(gone)
        elif gone:
            await self.workers.run(self.vault.remove, gone)

    def _next_id(self, kind: str) -> int:
        self._next_ids[kind] += 1
        return self._next_ids[kind] - 1

    def _ids_row(self) -> tuple[str, str, Any]:
        return ("ids", "next", dict(self._next_ids))

    def _write(self, rows: list[tuple[str, str, Any]]) -> None:
        assert self._database is not None
        with self._database as database:
            for kind, key, value in rows:
                if kind == "parts":
                    # In ASCII "0" comes after "/".
                    database.execute(
                        "DELETE FROM facts WHERE kind = 'part' AND key > ? AND key < ?",
                        (f"{key}/", f"{key}0"),
                    )
                elif value is None:
                    database.execute("DELETE FROM facts WHERE kind = ? AND key = ?", (kind, key))
                else:
                    text = json.dumps(cattrs.unstructure(value))
                    database.execute("REPLACE INTO facts VALUES (?, ?, ?)", (kind, key, text))

    def _open(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder)
        self._database = sqlite3.connect(folder / _FACTS)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS facts "
            "(kind TEXT, key TEXT, value TEXT, PRIMARY KEY (kind, key))"
        )
        rows = self._database.execute("SELECT kind, key, value FROM facts").fetchall()
        early = self._load([(kind, key, json.loads(text)) for kind, key, text in rows])
        if early:
            self._write([*(("user", user.name, user) for user in early), self._ids_row()])
        vault = FolderVault(folder / "blobs")
        vault.sweep(self._count_blobs())
        self.vault = vault

    def _read_users(self, facts: Path) -> None:
        """Read who is kept, for those who name somebody before the folder is opened."""
        if not facts.exists():
            return
        # What is wrong with it is told when it is opened.
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(facts)) as kept:
            rows = kept.execute("SELECT kind, key, value FROM facts WHERE kind IN ('user', 'ids')")
            self._load([(kind, key, json.loads(text)) for kind, key, text in rows])

    def _load(self, rows: list[tuple[str, str, Any]]) -> list[User]:
        """Take over what is kept; give the users who were named before, and aren't in it."""
        read = {
            kind: {key: cattrs.structure(value, cls) for row, key, value in rows if row == kind}
            for kind, cls in _KINDS.items()
        }
        early = [user for name, user in self._users.items() if name not in read["user"]]
        self._users, self.sessions = read["user"], read["session"]
        self._credentials = {user.credential: user for user in self._users.values()}
        self.files = {file.id: file for file in read["file"].values()}
        for kind, key, value in rows:
            if kind == "part":
                session_id, _, index = key.rpartition("/")
                self.sessions[session_id].parts[int(index)] = cattrs.structure(value, Blob)
            elif kind == "ids":
                self._next_ids = {kind: max(value[kind], self._next_ids[kind]) for kind in value}
        self._users |= {user.name: user for user in early}
        self._credentials |= {user.credential: user for user in early}
        return early

    def _count_blobs(self) -> set[str]:
        uses = Counter(
            blob.key
            for file in self.files.values()
            for revision in file.revisions
            for blob in revision.blobs
        )
        uses.update(blob.key for one in self.sessions.values() for blob in one.parts.values())
        self._shared = uses - Counter(set(uses))
        return set(uses)

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
