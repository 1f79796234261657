"""A job: many files, one journal; planned, run, parked, gone on with, looked at."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterable
from itertools import islice
from typing import TYPE_CHECKING, Self, TypeVar

from domo_files_async.bulk.figures import read_figures
from domo_files_async.bulk.items import Item, SessionItems, measured, placed
from domo_files_async.bulk.journal import Journal
from domo_files_async.bulk.migrate import Origin
from domo_files_async.bulk.monitor import Monitor, read_status
from domo_files_async.bulk.options import Options
from domo_files_async.bulk.outcomes import Planned
from domo_files_async.bulk.plan import Action, Revise, SetAccess, Skip, decide
from domo_files_async.bulk.records import IS_THERE, SEND_AGAIN
from domo_files_async.bulk.report import Report
from domo_files_async.bulk.run import Run
from domo_files_async.engine.journal import UploadJournal
from domo_files_async.errors import InvalidArgumentError, SessionStateError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
    from types import TracebackType

    from domo_files_async.bulk.carry import Carrier
    from domo_files_async.bulk.items import Items
    from domo_files_async.bulk.journal import Row
    from domo_files_async.bulk.monitor import JobStatus
    from domo_files_async.bulk.outcomes import Outcome
    from domo_files_async.session import DomoFilesSession

__all__ = ("Job",)

_BESIDE = re.compile("(-uploads)?(-wal|-shm|-journal|-lock)?|-uploads-owner-[0-9a-f]+")
"""What the paths of a job's files have after the path of its journal."""
_PAGE = 1000

T = TypeVar("T")


class Job:
    """Many files as one job, which can be killed at any instant and run again.

    Use it with `async with`. Several may have one journal open, to look at it; one runs it.

    Args:
        path: The journal, one SQLite file; it is made, or gone on with.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._journal = Journal(path)
        self._monitor = Monitor()
        self._no_more = asyncio.Event()
        self._no_more.set()
        self._adding = 0
        self._origin: Origin | None = None
        self._run: Run | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._journal.open()
        except BaseException:
            await self._journal.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._run is not None:
                await self._run.close()
        finally:
            await self._journal.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._journal.path!r})"

    @property
    def journal(self) -> Journal:
        """Its journal."""
        return self._journal

    async def add(self, items: Items) -> int:
        """Add items; those that are there already take over what is new of them.

        A run that is under way does them, too, and ends after the adding does. The job's own
        journal, with what is kept beside it, is left out. Paths are made absolute, so that a file
        is one item from whichever folder, and however, it is named.

        Args:
            items: A plain or an async iterable, read in pages; a plain one in threads.

        Returns:
            How many are new.

        Raises:
            InvalidArgumentError: Something among them is no item.
            SourceError: They can't be listed.
        """
        if isinstance(items, SessionItems):
            self._origin = Origin(session=items.session, revisions=items.revisions)
        added = 0
        self._adding += 1
        self._no_more.clear()
        try:
            journal = await asyncio.to_thread(os.path.realpath, self._journal.path)
            async for page in _pages(items):
                others = [item for item in page if not _is_beside(journal, item)]
                added += await self._journal.add(others)
        finally:
            self._adding -= 1
            if not self._adding:
                self._no_more.set()
        return added

    async def plan(self, domo: DomoFilesSession | None = None) -> AsyncIterator[Planned]:
        """Say of each item what a run would do, and why; nothing is sent.

        Args:
            domo: Asked whether the data files are there that are to be revised, many in one
                request; `None` to ask nothing.
        """
        after = 0
        while page := await self._journal.page("1", after):
            after = page[-1].number
            for planned in await _plan(page, domo):
                yield planned

    def run(
        self,
        domo: DomoFilesSession,
        *,
        source: DomoFilesSession | None = None,
        principals: Mapping[str, str] | None = None,
        revisions: str | None = None,
        concurrency: int = 32,
        large_concurrency: int = 4,
        passes: int = 3,
        pass_delay: float = 5.0,
        fail_fast: bool = False,
        max_failure_rate: float | None = 0.5,
        settle: float = 15.0,
        patience: float = 3600.0,
    ) -> AsyncIterator[Outcome]:
        """Do what is left to do, and give each item's outcome as it comes.

        Args:
            domo: A session of the instance that gets the files.
            source: A session of the instance that has them, for items of `from_session`; by
                default the one that they were added with.
            principals: See `migrate`.
            revisions: See `migrate`.
            concurrency: Small items at once; the session's own limits hold besides.
            large_concurrency: Items of 16 MiB and more, or of unknown size, at once.
            passes: How often what could be mended later is tried, in all.
            pass_delay: Seconds between two passes.
            fail_fast: End at the first failure.
            max_failure_rate: Share of the last 100 items that may fail before the run ends, since
                something is wrong with all of them; `None` for no such end.
            settle: Seconds after a kill in which what was being sent must have shown on the
                server; what hasn't shown by then is sent again.
            patience: Seconds to wait at most when most items fail because the server is down.

        Returns:
            The outcomes; what was done before is `skipped`. Closing it early cancels what is under
            way; `park` lets small items finish.

        Raises:
            AuthenticationError: The credential isn't taken: no item can be done. Run it again with
                a good one.
            TransferError: It was asked to end at a failure, or most items fail.
            JournalError: The journal can't be used, or another process runs the job.
        """
        if self._run is not None:
            raise SessionStateError("This job runs already: wait until it ends, or park it")
        options = Options(
            concurrency=concurrency,
            large_concurrency=large_concurrency,
            passes=passes,
            pass_delay=pass_delay,
            fail_fast=fail_fast,
            max_failure_rate=max_failure_rate,
            settle=settle,
            patience=patience,
        )
        origin = self._origin
        if source is not None:
            origin = Origin(session=source, revisions=revisions or "current")
        if origin is not None:
            kept = origin.revisions if revisions is None else revisions
            origin = Origin(session=origin.session, revisions=kept, principals=principals or {})
        run = Run(
            self._journal,
            domo,
            self._monitor,
            options,
            origin=origin,
            no_more=self._no_more,
            uploads=UploadJournal(f"{self._journal.path}-uploads"),
        )
        return self._outcomes(run)

    def run_with(
        self, domo: DomoFilesSession, options: Options, carrier: Carrier
    ) -> AsyncGenerator[Outcome, None]:
        """Do what is left to do, with items carried by somebody else; see `run`.

        Args:
            domo: A session of the instance that gets the files, to look for what is in doubt.
            options: How to go about it.
            carrier: Sends the items.
        """
        run = Run(
            self._journal,
            domo,
            self._monitor,
            options,
            origin=self._origin,
            no_more=self._no_more,
            uploads=UploadJournal(f"{self._journal.path}-uploads"),
            carrier=carrier,
        )
        return self._outcomes(run)

    async def _outcomes(self, run: Run) -> AsyncGenerator[Outcome, None]:
        if self._run is not None:
            raise SessionStateError("This job runs already: wait until it ends, or park it")
        self._run = run
        outcomes = run.outcomes()
        try:
            async for outcome in outcomes:
                yield outcome
        finally:
            try:
                await outcomes.aclose()
            finally:
                self._run = None

    def park(self) -> None:
        """End the run as soon as small items under way are done; run again, it goes on."""
        if self._run is not None:
            self._run.park()

    async def resolve(self, source: str, *, data_file_id: int | None) -> None:
        """Decide what became of an item that ended otherwise than it should.

        Args:
            source: The item's.
            data_file_id: The data file that it became; `None` if it isn't there, so that the next
                run sends it again, also where it failed for good. What was done, and what waits
                for a person, is then made anew: the data file that it was is forgotten.

        Raises:
            InvalidArgumentError: There is no such item that was done, failed, or is unknown.
        """
        named = await asyncio.to_thread(placed, Item(source=source))
        rows = await self._journal.ask(
            "SELECT number FROM items WHERE source = ? AND state NOT IN ('new', 'started')",
            named.source,
        )
        if not rows:
            raise InvalidArgumentError(f"No item of {source} has ended: run the job first")
        for (number,) in rows:
            if data_file_id is None:
                await self._journal.write(SEND_AGAIN, (number,))
            else:
                await self._journal.write(IS_THERE, (data_file_id, number))

    async def status(self) -> JobStatus:
        """Say how far it is; also while another process runs it."""
        return await read_status(self._journal)

    async def report(self) -> Report:
        """Read from the journal what was done, for people and machines."""
        return Report(self._journal.path, await read_figures(self._journal))


def _is_beside(journal: str, item: Item) -> bool:
    """Say whether an item is a job's own journal, or one of the files that are kept beside it."""
    name = os.path.basename(item.source)  # noqa: PTH119 - also of a URL
    if item.is_url or not name.startswith(os.path.basename(journal)):  # noqa: PTH119
        return False
    return _BESIDE.fullmatch(os.path.realpath(item.source).removeprefix(journal)) is not None


async def _pages(items: Items) -> AsyncIterator[list[Item]]:
    if isinstance(items, AsyncIterable):
        page: list[Item] = []
        async for item in items:
            page.append(_checked(item))
            if len(page) == _PAGE:
                yield await asyncio.to_thread(_measured, page)
                page = []
        if page:
            yield await asyncio.to_thread(_measured, page)
        return
    iterator = iter(items)
    while page := await asyncio.to_thread(_next_page, iterator):
        yield page


def _next_page(items: Iterator[Item]) -> list[Item]:
    return _measured([_checked(item) for item in islice(items, _PAGE)])


def _measured(page: list[Item]) -> list[Item]:
    placed_ones = map(placed, page)
    return [item if item.fingerprint is not None else measured(item) for item in placed_ones]


def _checked(item: object) -> Item:
    if not isinstance(item, Item):
        raise InvalidArgumentError(f"A job's items are Item objects, not {item!r}")
    return item


async def _plan(page: list[Row], domo: DomoFilesSession | None) -> list[Planned]:
    targets = {row.item.data_file_id for row in page} - {None}
    there = targets
    if domo is not None and targets:
        files = await domo.list_files(ids=sorted(one for one in targets if one is not None))
        there = {file.data_file_id for file in files}
    gone = await asyncio.to_thread(_absent, page)
    planned = []
    for row in page:
        item = row.item
        absent = row.number in gone or item.data_file_id not in {None, *there}
        decision = decide(item, row.known, absent=absent)
        match decision:
            case Skip():
                action = Action.SKIP
            case Revise():
                action = Action.REVISE
            case SetAccess():
                action = Action.ACCESS
            case _:
                action = Action.UPLOAD
        target = getattr(decision, "data_file_id", row.known.data_file_id)
        planned.append(
            Planned(item=item, action=action, because=decision.because, data_file_id=target)
        )
    return planned


def _absent(page: list[Row]) -> set[int]:
    return {
        row.number
        for row in page
        if not row.item.is_url
        and row.item.domo_id is None
        and not row.known.state.is_done
        and not os.path.exists(row.item.source)  # noqa: PTH110 - paths stay as they are given
    }
