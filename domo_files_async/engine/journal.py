"""What survives the process: uploads that aren't finished, as the lists of their ledgers' events.

Rule 1: what is in the journal is true; what isn't may have happened as well.
Rule 2: a commit is written down before it is sent, a multipart session before its first part.
Rule 3: a row belongs to one living process at most; see `owners`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
import weakref
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, get_args

import attrs

from domo_files_async.engine.journal_file import JournalFile
from domo_files_async.engine.target import Sent, Target
from domo_files_async.errors import InvalidArgumentError, JournalError
from domo_files_async.planning import ledger as deeds
from domo_files_async.planning.ledger import State, UploadLedger
from domo_files_async.planning.parts import PartPlan

if TYPE_CHECKING:
    import concurrent.futures
    import sqlite3
    from types import TracebackType

__all__ = ("Draft", "Entry", "Found", "JournaledUpload", "UploadJournal")

_LEAVING = 0.5
"""Seconds in which an upload that has ended leaves the journal."""

_HELD = (
    "This source is being uploaded to the same target already, by somebody who has the journal "
    "{} open: wait for that to end"
)

_log = logging.getLogger("domo_files_async")
_KINDS = {kind.__name__: kind for kind in get_args(deeds.Event)}


@attrs.frozen(kw_only=True)
class Draft:
    """An upload as a row of the journal.

    Attributes:
        instance: Where it goes: origin and prefix.
        surface: On which surface.
        identity: What tells its source from others.
        fingerprint: What tells that the source is still the same.
        target: As the caller said it.
        size: Bytes in the source.
        part_size: Bytes in each part but the last; `None` for a simple upload.
    """

    instance: str
    surface: str
    identity: str
    fingerprint: str
    target: Target
    size: int
    part_size: int | None

    @property
    def plan(self) -> PartPlan | None:
        """How it is cut; `None` for a simple upload."""
        return None if self.part_size is None else PartPlan(self.size, self.part_size)


@attrs.frozen(kw_only=True)
class JournaledUpload:
    """An upload that a journal holds.

    Attributes:
        id: Its number in the journal.
        name: Of the data file, as it was sent.
        path: Of the source; `None` where it was no file, or read from its middle.
        instance: Where it goes: origin and prefix.
        surface: On which surface.
        target: As the caller said it.
        session_id: The multipart session; `None` for a simple upload.
        size: Bytes in the source.
        part_size: Bytes in each part but the last; `None` for a simple upload.
        bytes_done: Bytes that the server is known to have.
        parts_done: Parts that the server is known to have.
        parts_total: All parts; 0 for a simple upload.
        may_be_made: Whether a revision was made, or may have been.
        is_held: Whether a living process works on it.
        began: When it was begun, by this machine's clock.
    """

    id: int
    name: str | None
    path: str | None
    instance: str
    surface: str
    target: Target
    session_id: str | None
    size: int
    part_size: int | None
    bytes_done: int
    parts_done: int
    parts_total: int
    may_be_made: bool
    is_held: bool
    began: datetime


class UploadJournal:
    """A file in which uploads survive the process; many uploads and processes may share one.

    It is opened when it is first needed, readable for its owner only, and holds no credential.

    Args:
        path: The file; made if it isn't there.

    Attributes:
        path: The file, absolute.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        said = os.fspath(path) if isinstance(path, str | os.PathLike) else None
        if not isinstance(said, str) or not said or "\0" in said:
            raise InvalidArgumentError(f"{path!r} can't be a journal's path")
        self.path = Path(said).absolute()
        self._file = JournalFile(self.path)
        self._closing = weakref.finalize(self, self._file.abandon)

    def __repr__(self) -> str:
        return f"UploadJournal({str(self.path)!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the file; a journal that isn't closed is so when nobody has it any more."""
        if self._closing.detach():
            await asyncio.shield(asyncio.to_thread(self._file.close))

    async def uploads(self) -> list[JournaledUpload]:
        """List what isn't finished, oldest first.

        Raises:
            JournalError: The file can't be read.
        """

        def job(connection: sqlite3.Connection) -> list[JournaledUpload]:
            rows = connection.execute(f"{_SELECT} ORDER BY id").fetchall()
            return [self._listed(connection, row) for row in rows]

        return await self._file.run(job)

    async def forget(self, upload: int) -> None:
        """Drop an upload from the journal; what the server has of it stays there.

        Args:
            upload: Its number in the journal.

        Raises:
            JournalError: A living process works on it.
        """

        def job(connection: sqlite3.Connection) -> None:
            row = connection.execute("SELECT owner FROM uploads WHERE id = ?", (upload,)).fetchone()
            if row is not None and self._file.is_held(upload, row[0]):
                raise JournalError(f"Upload {upload} in {self.path} is under way: end it first")
            _delete(connection, upload)

        await self._file.run(job)

    def entry(self, draft: Draft) -> Entry:
        """Make an entry for an upload that begins; nothing is written yet."""
        return Entry(self, self._file, draft)

    async def find(self, draft: Draft) -> Found:
        """Take what earlier runs left of an upload, unless somebody alive works on it.

        Raises:
            JournalError: Somebody alive does, or the file can't be read.
        """
        deadline = time.monotonic() + _LEAVING
        while True:
            finding = self._file.hand_in(lambda connection: self._find(connection, draft))
            try:
                found = await asyncio.shield(asyncio.wrap_future(finding))
            except asyncio.CancelledError:
                finding.add_done_callback(_give_back)
                raise
            if found is not None:
                return found
            # One that has just ended may be leaving the journal.
            if time.monotonic() > deadline:
                raise JournalError(_HELD.format(self.path))
            await asyncio.sleep(_LEAVING / 20)

    def _find(self, connection: sqlite3.Connection, draft: Draft) -> Found | None:
        """Take what is free; `None` if somebody alive works on the same."""
        free = []
        for row in connection.execute(
            f"{_SELECT} WHERE identity = ? AND instance = ? AND surface = ?",
            (draft.identity, draft.instance, draft.surface),
        ).fetchall():
            old = self._read(connection, row)
            if not self._file.is_held(row[0], row[1]):
                free.append(old)
            elif old.draft.target == draft.target:
                return None
        match: Entry | None = None
        stale = []
        for old in free:
            same_target = old.draft.target == draft.target
            if match is None and same_target and old.goes_on_with(draft):
                match = old
            elif old.may_be_made and not same_target:
                # Whether it was made is for whoever asks for that target again.
                continue
            else:
                stale.append(old)
            connection.execute(
                "UPDATE uploads SET owner = ? WHERE id = ?", (self._file.token, old.id)
            )
            self._file.active.add(old.number)
        return Found(match, stale)

    def _read(self, connection: sqlite3.Connection, row: tuple[Any, ...]) -> Entry:
        try:
            number, _, instance, surface, identity, fingerprint, target, sent, *rest = row
            size, part_size, began_at, since = rest
            draft = Draft(
                instance=instance,
                surface=surface,
                identity=identity,
                fingerprint=fingerprint,
                target=Target(**json.loads(target)),
                size=size,
                part_size=part_size,
            )
            entry = Entry(self, self._file, draft)
            entry.take_up(number)
            entry.sent = Sent(**json.loads(sent))
            entry.began_at = began_at
            entry.since = None if since is None else datetime.fromisoformat(since)
            if draft.plan is not None:
                entry.ledger = self._replay(connection, entry, draft.plan)
        except (TypeError, ValueError, KeyError, deeds.ImpossibleEventError) as error:
            raise JournalError(
                f"The journal {self.path} is damaged: its upload {row[0]} makes no sense "
                f"({error}). Nothing was overwritten: give another path, or move this file away"
            ) from error
        return entry

    def _replay(self, connection: sqlite3.Connection, entry: Entry, plan: PartPlan) -> UploadLedger:
        ledger = UploadLedger(
            plan, access_asked=entry.draft.target.access is not None, journaled=True
        )
        for number, text in connection.execute(
            "SELECT number, event FROM events WHERE upload = ? ORDER BY number", (entry.id,)
        ):
            kind, facts = json.loads(text)
            ledger.advance(_KINDS[kind](*facts))
            entry.written = number
        return ledger

    def _listed(self, connection: sqlite3.Connection, row: tuple[Any, ...]) -> JournaledUpload:
        entry = self._read(connection, row)
        ledger, draft = entry.ledger, entry.draft
        assert entry.sent is not None
        kind, *where = json.loads(draft.identity)
        return JournaledUpload(
            id=entry.number,
            name=entry.sent.name,
            path=where[0] if kind == "path" and where[1] == 0 else None,
            instance=draft.instance,
            surface=draft.surface,
            target=draft.target,
            session_id=None if ledger is None else ledger.session_id,
            size=draft.size,
            part_size=draft.part_size,
            bytes_done=0 if ledger is None else ledger.bytes_accepted,
            parts_done=0 if ledger is None else ledger.parts_accepted,
            parts_total=0 if ledger is None else ledger.parts_planned,
            may_be_made=entry.may_be_made,
            is_held=self._file.is_held(row[0], row[1]),
            began=datetime.fromtimestamp(entry.began_at, UTC),
        )


@attrs.define(eq=False)
class Entry:
    """One upload in the journal, as long as this process works on it.

    Attributes:
        journal: Kept open.
        draft: What was or will be written of it.
        id: Its number; `None` until something is written.
        sent: What the server was told.
        began_at: When it was begun, by this machine's clock, in seconds since 1970.
        since: The same by the server's clock, as early as it can have been; `None` where unknown.
        ledger: What is known of it; `None` for a simple upload.
        written: Number of the last event.
        is_taken_up: Whether an earlier run wrote it down.
        is_made: Whether the revision is known to be there.
    """

    journal: UploadJournal = attrs.field(repr=False)
    _file: JournalFile = attrs.field(repr=False)
    draft: Draft
    id: int | None = attrs.field(default=None, init=False)
    sent: Sent | None = attrs.field(default=None, init=False)
    began_at: float = attrs.field(factory=time.time, init=False)
    since: datetime | None = attrs.field(default=None, init=False)
    ledger: UploadLedger | None = attrs.field(default=None, init=False)
    written: int = attrs.field(default=0, init=False)
    is_taken_up: bool = attrs.field(default=False, init=False)
    is_made: bool = attrs.field(default=False, init=False)
    _is_begun: bool = attrs.field(default=False, init=False)
    _is_broken: bool = attrs.field(default=False, init=False)

    @property
    def number(self) -> int:
        """Its number, once something was written."""
        assert self.id is not None
        return self.id

    @property
    def may_be_made(self) -> bool:
        """Whether a revision was made, or may have been."""
        return self.ledger is None or self.ledger.may_be_made

    @property
    def is_simple(self) -> bool:
        """Whether it is a simple upload that an earlier run wrote down."""
        return self.is_taken_up and self.draft.part_size is None

    def take_up(self, number: int) -> None:
        """Say that an earlier run wrote it down."""
        self.id, self.is_taken_up, self._is_begun = number, True, True

    def goes_on_with(self, draft: Draft) -> bool:
        """Say whether *draft*, of the same source and target, can take it up."""
        if self.draft.fingerprint != draft.fingerprint:
            return False
        if self.ledger is not None and self.ledger.state in {State.ABORTING, State.FAILED}:
            return False
        # Once it may be made, other parts would make it a second time; and what would go in one
        # request now has parts on the server already.
        return self.may_be_made or draft.part_size in {None, self.draft.part_size}

    async def open(self, event: deeds.Event | None = None) -> None:
        """Write the upload down, with its first event if it has any.

        Raises:
            JournalError: Somebody else writes down the same, or the file can't be written.
        """
        sent, since = self.sent, self.since
        assert sent is not None

        def job(connection: sqlite3.Connection) -> None:
            draft = self.draft
            for other, owner, target in connection.execute(
                "SELECT id, owner, target FROM uploads "
                "WHERE identity = ? AND instance = ? AND surface = ?",
                (draft.identity, draft.instance, draft.surface),
            ):
                if target == _json(draft.target) and self._file.is_held(other, owner):
                    raise JournalError(_HELD.format(self._file.path))
            self.id = connection.execute(
                "INSERT INTO uploads (owner, instance, surface, identity, fingerprint, target, "
                "sent, size, part_size, began_at, since) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    self._file.token,
                    draft.instance,
                    draft.surface,
                    draft.identity,
                    draft.fingerprint,
                    _json(draft.target),
                    _json(sent),
                    draft.size,
                    draft.part_size,
                    self.began_at,
                    None if since is None else since.isoformat(),
                ),
            ).lastrowid
            self._file.active.add(self.number)
            if event is not None:
                self._append(connection, event)

        self._is_begun = True
        opening = self._file.hand_in(job)
        opening.add_done_callback(self._look_at_opening)
        await asyncio.shield(asyncio.wrap_future(opening))

    def note(self, event: deeds.Event) -> None:
        """Write an event some time soon; a later `write` comes after it."""

        def job(connection: sqlite3.Connection) -> None:
            if self.id is not None:
                self._append(connection, event)

        # An upload that ended before it was written down has nothing to be taken up.
        if self._is_begun:
            self._hand_in(job)

    async def write(self, event: deeds.Event) -> None:
        """Write an event; when this returns, it and all before it survive the process.

        Raises:
            JournalError: The file can't be written.
        """
        if not self._is_begun:
            await self.open(event)
            return

        def job(connection: sqlite3.Connection) -> None:
            if self._is_broken:
                raise JournalError(
                    f"The journal {self._file.path} couldn't take down what was sent: is the disk "
                    "full?"
                )
            self._append(connection, event)

        await self._file.run(job)

    def release(self) -> None:
        """Leave it to a later run."""

        def job(connection: sqlite3.Connection) -> None:
            if self.id is not None:
                self._file.active.discard(self.id)
                connection.execute("UPDATE uploads SET owner = NULL WHERE id = ?", (self.id,))

        if self._is_begun:
            self._hand_in(job)

    def drop(self) -> None:
        """Take it out of the journal: it is over."""

        def job(connection: sqlite3.Connection) -> None:
            if self.id is not None:
                self._file.active.discard(self.id)
                _delete(connection, self.id)

        if self._is_begun:
            self._hand_in(job)

    def _append(self, connection: sqlite3.Connection, event: deeds.Event) -> None:
        facts = attrs.astuple(event)
        connection.execute(
            "INSERT INTO events VALUES (?, ?, ?)",
            (self.id, self.written + 1, json.dumps([type(event).__name__, facts])),
        )
        self.written += 1

    def _hand_in(self, job: Any) -> None:
        try:
            self._file.hand_in(job).add_done_callback(self._look_at)
        except JournalError as error:
            self._complain(error)

    def _look_at_opening(self, opened: concurrent.futures.Future[None]) -> None:
        if opened.exception() is not None:
            self.id = None

    def _look_at(self, written: concurrent.futures.Future[None]) -> None:
        error = written.exception()
        if error is not None:
            self._complain(error)

    def _complain(self, error: BaseException) -> None:
        self._is_broken = True
        _log.warning("An upload goes on, but its journal doesn't: %s", error)


@attrs.frozen
class Found:
    """What earlier runs left of an upload.

    Attributes:
        match: What can be taken up.
        stale: What can't: to be aborted and dropped.
    """

    match: Entry | None
    stale: list[Entry]


_SELECT = (
    "SELECT id, owner, instance, surface, identity, fingerprint, target, sent, size, part_size, "
    "began_at, since FROM uploads"
)


def _delete(connection: sqlite3.Connection, upload: int) -> None:
    connection.execute("DELETE FROM events WHERE upload = ?", (upload,))
    connection.execute("DELETE FROM uploads WHERE id = ?", (upload,))


def _give_back(finding: concurrent.futures.Future[Found | None]) -> None:
    found = None if finding.exception() else finding.result()
    if found is not None:
        for entry in (*found.stale, *([found.match] if found.match else ())):
            entry.release()


def _json(value: Target | Sent) -> str:
    return json.dumps(attrs.asdict(value))
