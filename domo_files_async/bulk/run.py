"""Runs a job: two lanes of workers over the journal's rows, so that small items pass large ones.

Rule 1: a row says that it is started before its first byte is sent, and how it ended before
anybody is told.
Rule 2: what an earlier run left started is looked for before it is sent again.
Rule 3: what says that the whole job is wrong ends the run, and marks no item as failed.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import attrs

from domo_files_async.bulk.carry import Made, carry, goes_in_parts, set_access
from domo_files_async.bulk.doubts import Twins, is_list_cut, look_for, name_of, put_away
from domo_files_async.bulk.guard import Guard, ServerTime
from domo_files_async.bulk.lanes import Lanes
from domo_files_async.bulk.migrate import carry_revisions
from domo_files_async.bulk.outcomes import Outcome, Status, bare
from domo_files_async.bulk.plan import (
    Failure,
    Revise,
    SetAccess,
    Skip,
    Upload,
    classify,
    decide,
    is_wholly_wrong,
)
from domo_files_async.bulk.records import (
    AGAIN,
    FAILED_LATER,
    HELD,
    LEFT,
    LOST,
    NEW,
    OPEN,
    REST,
    TODO,
    Records,
    Teller,
    recorded,
)
from domo_files_async.engine.outcomes import looked_for_later
from domo_files_async.engine.shared import finished
from domo_files_async.errors import (
    DomoFilesError,
    OutcomeUnknownError,
    SessionStateError,
    SourceError,
    TransferError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from collections.abc import Set as AbstractSet

    from domo_files_async.bulk.carry import Carrier
    from domo_files_async.bulk.journal import Journal, Row
    from domo_files_async.bulk.migrate import Origin
    from domo_files_async.bulk.monitor import Monitor
    from domo_files_async.bulk.options import Options
    from domo_files_async.bulk.plan import Decision, Found
    from domo_files_async.engine.journal import UploadJournal
    from domo_files_async.session import DomoFilesSession

__all__ = ("Run",)

_ALIVE = 0.5
_LOOKS = (1 / 31, 2 / 31, 4 / 31, 8 / 31, 16 / 31)
"""Shares of the time to settle before each look: answers may lag by looks, or by time."""
_AHEAD = 1000
"""Outcomes that wait for whoever reads them."""
_ERRORS = 1000
"""Errors that are kept until they are told at the end; of others only the words are."""
_CUT = "Whether it is there isn't known: the server doesn't list all of its data files"
_CLOSED = "The job, or its session, was closed while it was run: run it again, and it goes on"


class Run:
    """One run of a job."""

    def __init__(
        self,
        journal: Journal,
        domo: DomoFilesSession,
        monitor: Monitor,
        options: Options,
        *,
        origin: Origin | None,
        no_more: asyncio.Event,
        uploads: UploadJournal,
        carrier: Carrier | None = None,
    ) -> None:
        self._journal = journal
        self._domo = domo
        self._monitor = monitor
        self._options = options
        self._origin = origin
        self._uploads = uploads
        self._carry = carry if carrier is None else carrier.carry
        self._held: AbstractSet[str] = frozenset() if carrier is None else carrier.held
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="domo-files-bulk")
        self._outcomes: asyncio.Queue[Outcome | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(_AHEAD)
        self._lanes = Lanes(
            journal,
            self._one,
            small=options.concurrency,
            large=options.large_concurrency,
            no_more=no_more,
        )
        self._guard = Guard(
            domo,
            limit=options.max_failure_rate,
            patience=options.patience,
            wait=self._lanes.wait,
            halt=self._halt,
        )
        self._halted: DomoFilesError | None = None
        self._doubtful: set[str] = set()
        self._settled = asyncio.Event()
        self._time = ServerTime(domo)
        self._records = Records(journal, 0)
        self._lost_at = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: asyncio.Task[None] | None = None
        self._because = "ended early"
        self._errors: dict[int, DomoFilesError] = {}
        self._twins = Twins(self._threads)

    def park(self) -> None:
        """Begin nothing more; small items that are under way are finished, large ones parked."""
        self._lanes.park()

    async def outcomes(self) -> AsyncGenerator[Outcome, None]:
        """Run, and give outcomes as they come.

        Raises:
            DomoFilesError: The whole job is wrong, and what.
        """
        await self._journal.claim()
        self._records = Records(self._journal, await Records.begin(self._journal, time.time()))
        work = asyncio.create_task(self._work())
        work.add_done_callback(lambda _: self._outcomes.put_nowait(None))
        self._tasks = {work, asyncio.create_task(self._beat())}
        try:
            with self._domo.observing(self._monitor.see):
                while (outcome := await self._outcomes.get()) is not None:
                    self._room.release()
                    yield outcome
                if work.cancelled():
                    self._halt(SessionStateError(_CLOSED))
                else:
                    work.result()
                self._because = "parked" if self._lanes.parked.is_set() else "done"
                if self._halted is not None:
                    self._because = str(self._halted)
                    raise self._halted
        finally:
            await self.close()

    async def close(self) -> None:
        """End it; what is under way is cancelled."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        await finished(self._closing)

    async def _close(self) -> None:
        if not self._tasks:
            return
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._guard.close()
        self._threads.shutdown(wait=False)
        await self._records.over(self._because)
        await self._sample()
        await put_away(self._uploads, self._journal)
        await self._journal.release()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_ALIVE)
            await self._records.alive()
            await self._sample()

    async def _sample(self) -> None:
        figures = self._monitor.sample()
        if figures is not None:
            await self._journal.write(
                "INSERT OR REPLACE INTO samples VALUES (?, ?, ?)",
                (self._records.run, time.time(), figures),
            )

    async def _work(self) -> None:
        try:
            doubtful = await self._look_at_doubts()
            # How long ago they were sent isn't known: the clock may have been set since.
            settling = asyncio.create_task(self._settle(doubtful, 0.0))
            try:
                await self._lanes.run(TODO)
                await settling
            finally:
                settling.cancel()
                await asyncio.wait({settling})
            await self._later_passes()
            run = self._records.run
            if not self._lanes.parked.is_set():
                await self._tell_recorded(REST, run, now=False)
            await self._tell_recorded(f"({FAILED_LATER}) OR ({LOST})", run, run, now=True)
        except DomoFilesError as error:
            self._halt(error)

    async def _later_passes(self) -> None:
        done = 1
        while True:
            await self._settle_lost(is_last=done > self._options.passes)
            again = done < self._options.passes and await self._records.any(
                FAILED_LATER, self._records.run
            )
            if self._lanes.parked.is_set() or not (again or await self._records.any(LEFT)):
                return
            if again:
                await self._lanes.wait(self._options.pass_delay)
                await self._lanes.run(AGAIN, self._records.run)
            else:
                await self._lanes.run(NEW)
            done += 1

    async def _one(self, row: Row) -> None:
        if self._doubtful and name_of(row) in self._doubtful:
            # What it leaves would look like what is looked for.
            await self._settled.wait()
        await self._guard.is_up.wait()
        if self._lanes.parked.is_set():
            return
        began = asyncio.get_running_loop().time()
        decision = decide(row.item, row.known)
        tell = Teller(self._records, self._time, self._monitor, row)
        self._monitor.in_flight += 1
        try:
            with looked_for_later():
                outcome = await self._carry_out(row, decision, tell)
        except DomoFilesError as error:
            await self._failed(row, error, asyncio.get_running_loop().time() - began, tell)
            return
        finally:
            self._monitor.in_flight -= 1
        outcome = attrs.evolve(outcome, elapsed=asyncio.get_running_loop().time() - began)
        await self._ended(row, outcome)

    async def _carry_out(self, row: Row, decision: Decision, tell: Teller) -> Outcome:
        item = row.item
        match decision:
            case Skip(because=because):
                return Outcome(item=item, status=Status.SKIPPED, because=because)
            case SetAccess(data_file_id=data_file_id):
                await set_access(self._domo, item, data_file_id, is_new=item.data_file_id is None)
                status = Status.UPLOADED if item.data_file_id is None else Status.REVISED
                return Outcome(
                    item=item,
                    status=status,
                    data_file_id=data_file_id,
                    revision_id=row.known.revision_id,
                    size_bytes=row.size,
                    sha256=row.sha256,
                )
            case Upload():
                target = None
            case Revise(data_file_id=target):
                pass
        if item.domo_id is not None:
            if self._origin is None:
                raise SourceError(
                    f"{item.source} is a data file of another instance: give run its session as "
                    "source"
                )
            made, because = await carry_revisions(
                self._domo, self._origin, self._journal, row, target, tell
            )
        else:
            because = ""
            made = await self._carry(
                self._domo, item, target, tell, threads=self._threads, uploads=self._uploads
            )
        is_new = item.data_file_id is None and not row.known.state.is_done
        return Outcome(
            item=item,
            status=Status.UPLOADED if is_new else Status.REVISED,
            data_file_id=made.data_file_id,
            revision_id=made.revision_id,
            size_bytes=made.size,
            sha256=made.sha256,
            attempts=made.attempts,
            because=because,
        )

    async def _ended(self, row: Row, outcome: Outcome) -> None:
        self._errors.pop(row.number, None)
        await self._records.ended(row, outcome)
        self._monitor.ended(outcome)
        self._guard.succeeded()
        await self._tell(outcome)

    async def _failed(self, row: Row, error: DomoFilesError, elapsed: float, tell: Teller) -> None:
        self._errors.pop(row.number, None)
        if isinstance(error, OutcomeUnknownError):
            self._keep(row, error)
            # What became of it is looked for at the end of the pass, and told then.
            held = HELD if row.item.key in self._held else ""
            await self._records.unknown(row, str(error), elapsed, because=held)
            self._lost_at = time.monotonic()
            self._guard.failed(error)
            return
        if is_wholly_wrong(error):
            await self._records.reset(row)
            self._halt(error)
            return
        failure = classify(error)
        await self._records.failed(row, failure, str(error), elapsed)
        outcome = Outcome(
            item=row.item,
            status=Status.FAILED,
            data_file_id=tell.data_file_id,
            error=error,
            failure=failure,
            elapsed=elapsed,
        )
        self._monitor.ended(outcome, is_last=failure is not Failure.LATER)
        self._guard.failed(error)
        if self._options.fail_fast:
            said = f"The job was stopped at the first failure, as asked: {error}"
            self._halt(TransferError(said))
        if failure is Failure.LATER:
            self._keep(row, error)
        else:
            await self._tell(outcome)

    def _keep(self, row: Row, error: DomoFilesError) -> None:
        if len(self._errors) < _ERRORS:
            self._errors[row.number] = bare(error)

    def _halt(self, error: DomoFilesError) -> None:
        if self._halted is None:
            self._halted = error
        self.park()

    async def _tell(self, outcome: Outcome) -> None:
        await self._room.acquire()
        self._outcomes.put_nowait(outcome)

    async def _look_at_doubts(self) -> list[Row]:
        """Look once for what earlier runs left open; give those that weren't seen."""
        rows = await self._records.all(OPEN)
        self._doubtful = {name_of(row) for row in rows}
        return await self._look(rows) if rows else []

    async def _settle_lost(self, *, is_last: bool) -> None:
        """Find out what became of those whose answers were lost in this run."""
        rows = await self._records.all(LOST, self._records.run)
        if rows and not self._lanes.parked.is_set():
            unseen = await self._look(rows)
            await self._settle(unseen, time.monotonic() - self._lost_at, is_last=is_last)

    async def _look(self, rows: Sequence[Row]) -> list[Row]:
        """Look for items; give those that weren't seen."""
        found = await look_for(self._domo, self._journal, rows)
        unseen = []
        for row in rows:
            one = found[row.number]
            if one.is_certain and not await self._twins.is_one(row, one):
                await self._found(row, one)
            elif one.is_certain:
                unseen.append(row)
            elif one.traces:
                ids = ", ".join(str(trace.data_file_id) for trace in one.traces)
                said = f"Whether it is there isn't known: data files {ids} look like it"
                await self._records.unknown(row, said, row.elapsed, because=row.because)
            else:
                unseen.append(row)
        return unseen

    async def _found(self, row: Row, found: Found) -> None:
        (trace,) = found.traces
        revision_id = trace.revision.data_file_revision_id
        if row.flight_revision is not None:
            await self._records.carried(row, trace.data_file_id, revision_id)
            return
        size = trace.revision.size_bytes if row.size is None else row.size
        if row.item.grants or row.size is None or goes_in_parts(self._domo, row.size):
            # Access is set after the commit, and nobody knows how far that came.
            made = Made(
                data_file_id=trace.data_file_id,
                revision_id=revision_id,
                size=size or 0,
                sha256=row.sha256,
                attempts=1,
            )
            await self._records.made(row, made)
            return
        is_new = row.flight_target is None
        await self._ended(
            row,
            Outcome(
                item=row.item,
                status=Status.UPLOADED if is_new else Status.REVISED,
                data_file_id=trace.data_file_id,
                revision_id=revision_id,
                size_bytes=size,
                sha256=row.sha256,
                attempts=1,
                because="found after it was interrupted",
            ),
        )

    async def _settle(self, rows: Sequence[Row], since: float, *, is_last: bool = False) -> None:
        """Look again until what was sent must have shown; what hasn't may be sent again."""
        try:
            left = max(0.0, self._options.settle - since)
            for share in _LOOKS:
                if not rows or self._lanes.parked.is_set():
                    break
                await self._lanes.wait(left * share)
                rows = await self._look(rows)
            else:
                await self._give_up(() if is_last else rows)
        except DomoFilesError as error:
            self._halt(error)
        finally:
            self._doubtful = set()
            self._settled.set()

    async def _give_up(self, rows: Sequence[Row]) -> None:
        """Take what no look saw for not made, unless the server doesn't show all that there is."""
        is_cut = bool(rows) and await is_list_cut(
            self._domo, self._journal, before=time.time() - self._options.settle
        )
        for row in rows:
            if is_cut and row.flight_target is None:
                await self._records.unknown(row, _CUT, row.elapsed, because=row.because)
            elif row.because != HELD:
                await self._records.reset(row)

    async def _tell_recorded(self, where: str, *values: Any, now: bool) -> None:
        """Give the outcomes that the journal has, whether they came about now or before."""
        after = 0
        while page := await self._journal.page(where, after, *values):
            after = page[-1].number
            for row in page:
                outcome = recorded(row, self._errors.pop(row.number, None))
                if now:
                    self._monitor.ended(outcome)
                await self._tell(outcome)
