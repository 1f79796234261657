"""What a run writes into its job's journal, and which rows it asks for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from domo_files_async.bulk.outcomes import Outcome, Status
from domo_files_async.bulk.plan import decide
from domo_files_async.errors import DomoFilesError

if TYPE_CHECKING:
    from domo_files_async.bulk.carry import Flight, Made
    from domo_files_async.bulk.guard import ServerTime
    from domo_files_async.bulk.journal import Journal, Row
    from domo_files_async.bulk.monitor import Monitor
    from domo_files_async.bulk.plan import Failure

__all__ = (
    "AGAIN",
    "FAILED_LATER",
    "HELD",
    "IS_THERE",
    "LEFT",
    "LOST",
    "NEW",
    "OPEN",
    "REST",
    "SEND_AGAIN",
    "TODO",
    "Records",
    "Teller",
    "recorded",
)

HELD = "it may still be sent by a worker that didn't answer"
"""Why an item of unknown outcome is never sent again, in no run, until somebody resolves it."""

OPEN = "state IN ('started', 'unknown')"
_DONE = "state IN ('uploaded', 'revised')"
_CHANGED = "fingerprint IS NOT done_fingerprint"
FAILED_LATER = "state = 'failed' AND failure = 'later' AND run = ?"
LEFT = f"(state IN ('new', 'made') OR ({_DONE} AND {_CHANGED}))"
"""What was added, or found to have changed, once its turn was over."""
TODO = f"is_large = ? AND ({LEFT} OR (state = 'failed' AND (failure <> 'never' OR {_CHANGED})))"
NEW = f"is_large = ? AND {LEFT}"
AGAIN = f"is_large = ? AND ({LEFT} OR ({FAILED_LATER}))"
LOST = "state = 'unknown' AND run = ?"
REST = (
    "run IS NOT ? AND (state = 'unknown' OR "
    f"(({_DONE} OR (state = 'failed' AND failure = 'never')) AND NOT ({_CHANGED})))"
)
_STARTED = (
    "UPDATE items SET state = 'started', run = ?, began = ?, sent_size = ?, sha256 = ?, "
    "fingerprint = ?, done_fingerprint = ?, flight_target = ?, flight_revision = ?, failure = NULL "
    "WHERE number = ?"
)
_MADE = (
    "UPDATE items SET state = 'made', needs_access = 1, data_file_id = ?, revision_id = ?, "
    "sent_size = ?, sha256 = coalesce(?, sha256), attempts = attempts + ? WHERE number = ?"
)
# What was kept as made was counted then.
_ENDED = (
    "UPDATE items SET state = ?, run = ?, data_file_id = ?, revision_id = ?, sent_size = ?, "
    "sha256 = ?, attempts = attempts + CASE state WHEN 'made' THEN 0 ELSE ? END, elapsed = ?, "
    "ended = ?, because = ?, needs_access = 0, failure = NULL, error = NULL WHERE number = ?"
)
_FAILED = (
    "UPDATE items SET state = 'failed', run = ?, failure = ?, error = ?, ended = ?, elapsed = ?, "
    "done_fingerprint = fingerprint WHERE number = ?"
)
_UNKNOWN = (
    "UPDATE items SET state = 'unknown', run = ?, error = ?, because = ?, ended = ?, elapsed = ? "
    "WHERE number = ?"
)
IS_THERE = (
    "UPDATE items SET state = CASE WHEN target IS NULL THEN 'uploaded' ELSE 'revised' END, "
    "data_file_id = ?, needs_access = 0, failure = NULL, error = NULL WHERE number = ?"
)
_IS_GONE = f"({_DONE} OR state = 'made' OR (state = 'failed' AND failure = 'person'))"
SEND_AGAIN = (
    f"UPDATE items SET data_file_id = CASE WHEN {_IS_GONE} THEN NULL ELSE data_file_id END, "  # noqa: S608 - of this package's own words
    f"needs_access = CASE WHEN {_IS_GONE} THEN 0 ELSE needs_access END, "
    "state = 'new', failure = NULL, error = NULL WHERE number = ?"
)
_RESET = (
    "UPDATE items SET state = CASE needs_access WHEN 1 THEN 'made' ELSE 'new' END WHERE number = ?"
)


class Records:
    """One run's part of the journal.

    Args:
        journal: The job's.
        run: The run's number.
    """

    def __init__(self, journal: Journal, run: int) -> None:
        self._journal = journal
        self.run = run

    @staticmethod
    async def begin(journal: Journal, now: float) -> int:
        """Begin a run; give its number."""
        ((number,),) = await journal.ask("SELECT coalesce(max(run), 0) + 1 FROM runs")
        statement = "INSERT INTO runs (run, began, alive) VALUES (?, ?, ?)"
        await journal.write(statement, (number, now, now))
        return int(number)

    async def alive(self) -> None:
        """Keep that the run is alive."""
        statement = "UPDATE runs SET alive = ? WHERE run = ?"
        await self._journal.write(statement, (time.time(), self.run))

    async def over(self, because: str) -> None:
        """Keep that the run has ended, and how."""
        now = time.time()
        statement = "UPDATE runs SET alive = ?, ended = ?, because = ? WHERE run = ?"
        await self._journal.write(statement, (now, now, because, self.run))

    async def any(self, where: str, *values: Any) -> bool:
        """Say whether there is such a row."""
        return bool(await self._journal.page(where, 0, *values, limit=1))

    async def all(self, where: str, *values: Any) -> list[Row]:
        """Give all such rows; for those that are never many."""
        rows: list[Row] = []
        while page := await self._journal.page(where, rows[-1].number if rows else 0, *values):
            rows.extend(page)
        return rows

    async def started(self, row: Row, flight: Flight, began: str | None) -> None:
        """Keep that an item is about to be sent."""
        values = (self.run, began, flight.size, flight.sha256)
        marks = (flight.fingerprint, flight.fingerprint, flight.target, flight.revision)
        await self._journal.write(_STARTED, (*values, *marks, row.number))

    async def made(self, row: Row, made: Made) -> None:
        """Keep that an item is there, but for its access."""
        values = (made.data_file_id, made.revision_id, made.size, made.sha256, made.attempts)
        await self._journal.write(_MADE, (*values, row.number))

    async def carried(self, row: Row, data_file_id: int, revision_id: int) -> None:
        """Keep that one of several revisions is there; the item goes on with the next."""
        await self._journal.write(
            "INSERT OR REPLACE INTO revisions (item, source_revision, revision_id, size, sha256) "
            "VALUES (?, ?, ?, ?, ?)",
            (row.number, row.flight_revision, revision_id, row.size, row.sha256),
        )
        await self._journal.write(
            "UPDATE items SET state = 'new', data_file_id = ? WHERE number = ?",
            (data_file_id, row.number),
        )

    async def ended(self, row: Row, outcome: Outcome) -> None:
        """Keep that an item is done."""
        values = (
            outcome.status,
            self.run,
            outcome.data_file_id,
            outcome.revision_id,
            outcome.size_bytes,
            outcome.sha256,
            outcome.attempts,
            outcome.elapsed,
            time.time(),
            outcome.because,
        )
        await self._journal.write(_ENDED, (*values, row.number))

    async def failed(self, row: Row, failure: Failure, said: str, elapsed: float) -> None:
        """Keep that an item failed."""
        values = (self.run, failure, said, time.time(), elapsed)
        await self._journal.write(_FAILED, (*values, row.number))

    async def unknown(self, row: Row, said: str, elapsed: float, *, because: str = "") -> None:
        """Keep that it can't be known whether an item is there; `HELD` if it may still come."""
        values = (self.run, said, because, time.time(), elapsed)
        await self._journal.write(_UNKNOWN, (*values, row.number))

    async def reset(self, row: Row) -> None:
        """Keep that nothing was done with an item."""
        await self._journal.write(_RESET, (row.number,))


class Teller:
    """Keeps the journal of one item.

    Attributes:
        data_file_id: The data file that it is, as far as that is known.
    """

    def __init__(
        self, records: Records, time_there: ServerTime, monitor: Monitor, row: Row
    ) -> None:
        self._records = records
        self._time = time_there
        self._monitor = monitor
        self._row = row
        self._began = time.monotonic()
        self.data_file_id = row.known.data_file_id

    async def started(self, flight: Flight) -> None:
        """Keep that it is about to be sent."""
        loaded = time.monotonic()
        await self._records.started(self._row, flight, await self._time.now())
        self._monitor.spent("load", loaded - self._began)
        self._monitor.spent("journal", time.monotonic() - loaded)

    async def made(self, made: Made) -> None:
        """Keep that it is there, but for its access."""
        self.data_file_id = made.data_file_id
        await self._records.made(self._row, made)


def recorded(row: Row, error: DomoFilesError | None = None) -> Outcome:
    """Give the outcome that the journal has; it has an *error*'s words only."""
    known = row.known
    decision = decide(row.item, known)
    status = Status.SKIPPED if known.state.is_done else Status(known.state)
    return Outcome(
        item=row.item,
        status=status,
        data_file_id=known.data_file_id,
        revision_id=known.revision_id,
        error=DomoFilesError(known.error) if error is None and known.error is not None else error,
        failure=known.failure,
        because=decision.because,
        size_bytes=row.size,
        sha256=row.sha256,
        attempts=row.attempts,
        elapsed=row.elapsed,
    )
