"""What became of items that were being sent when a run died, or whose answers were lost.

Nothing here sends an item: it looks at what the server has, once for all of them.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from domo_files_async.bulk.items import digest_of, measured, own_name
from domo_files_async.bulk.plan import Trace, Wanted, match_traces
from domo_files_async.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from concurrent.futures import Executor

    from domo_files_async.bulk.journal import Journal, Row
    from domo_files_async.bulk.plan import Found
    from domo_files_async.engine.journal import UploadJournal
    from domo_files_async.models import DataFile, Revision
    from domo_files_async.session import DomoFilesSession

__all__ = ("Twins", "is_list_cut", "look_for", "name_of", "put_away")

_SAMPLE = 10
"""Files that are looked for in the list: one of them may have been deleted, not all."""


def name_of(row: Row) -> str:
    """Give the name that an item's new data file has."""
    return row.item.name or own_name(row.item.source)


async def look_for(
    domo: DomoFilesSession, journal: Journal, rows: Sequence[Row]
) -> Mapping[int, Found]:
    """Look for what items would have left; one request for new files, one a data file for others.

    Returns:
        What was found of each, by its number.

    Raises:
        DomoFilesError: The server can't be asked.
    """
    new = [row for row in rows if row.flight_target is None]
    found: dict[int, Found] = {}
    if new:
        names = {name_of(row) for row in new}
        files = await domo.list_files(limit_to_owned=True)
        ids = {file.data_file_id for file in files if file.name in names}
        del files
        alike = sorted(ids - await _known(journal, ids))
        files = await domo.list_files(ids=alike, expand=("revisions",)) if alike else []
        traces = [trace for file in files if (trace := _first(file)) is not None]
        found.update(match_traces(map(_wanted, new), traces))
    by_target: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        if row.flight_target is not None:
            by_target[row.flight_target].append(row)
    for target, group in by_target.items():
        traces = await _new_revisions(domo, journal, target)
        found.update(match_traces(map(_wanted, group), traces))
    return found


class Twins:
    """Tells large files from others of their names and sizes: they weren't hashed when they went.

    Args:
        threads: Read and hash them.
    """

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._digests: dict[int, str] = {}

    async def is_one(self, row: Row, found: Found) -> bool:
        """Say whether what was found for an item has other bytes than the item."""
        there = found.traces[0].revision.sha256_hash_value
        if row.sha256 is not None or there is None or row.item.is_url or row.item.domo_id:
            return False
        if row.number not in self._digests:
            run = asyncio.get_running_loop().run_in_executor
            try:
                digest = await run(self._threads, digest_of, row.item.source)
            except OSError:
                return False
            now = await run(self._threads, measured, row.item)
            if now.fingerprint != row.known.done_fingerprint:
                # What was sent isn't there any more, and what is there is sent anyway.
                return False
            self._digests[row.number] = digest
        return self._digests[row.number] != there.lower()


async def put_away(uploads: UploadJournal, journal: Journal) -> None:
    """Close the journal of large uploads without what is known to be there; empty, it goes."""
    path = Path(uploads.path)
    if not await asyncio.to_thread(path.exists):
        return
    left = 0
    for one in await uploads.uploads():
        is_done = one.may_be_made and await journal.ask(
            "SELECT 1 FROM items WHERE source = ? AND state IN ('uploaded', 'revised')", one.path
        )
        if is_done and not one.is_held:
            await uploads.forget(one.id)
        else:
            left += 1
    await uploads.aclose()
    if not left:
        for end in ("", "-wal", "-shm"):
            await asyncio.to_thread(Path(f"{path}{end}").unlink, missing_ok=True)


async def is_list_cut(domo: DomoFilesSession, journal: Journal, *, before: float) -> bool:
    """Say whether the list of files lacks what is known to be there.

    Args:
        domo: Where to look.
        journal: Knows it.
        before: Only what was made before that time is sure to be shown by now.
    """
    rows = await journal.ask(
        "SELECT data_file_id FROM items WHERE state IN ('uploaded', 'revised') AND target IS NULL "
        "AND ended < ? ORDER BY ended DESC LIMIT ?",
        before,
        _SAMPLE,
    )
    if not rows:
        return False
    listed = {file.data_file_id for file in await domo.list_files(limit_to_owned=True)}
    return listed.isdisjoint(number for (number,) in rows)


async def _known(journal: Journal, ids: Iterable[int]) -> set[int]:
    """Give which data files the journal has accounted for."""
    listed = ",".join(map(str, ids))
    question = f"SELECT data_file_id FROM items WHERE data_file_id IN ({listed})"  # noqa: S608 - numbers
    return {number for (number,) in await journal.ask(question)}


async def _new_revisions(
    domo: DomoFilesSession, journal: Journal, data_file_id: int
) -> list[Trace]:
    try:
        file = await domo.get_file(data_file_id, expand=("revisions",))
    except NotFoundError:
        return []
    revisions = _revisions(file)
    known = {
        number
        for (number,) in await journal.ask(
            "SELECT revision_id FROM items WHERE data_file_id = ? UNION "
            "SELECT revisions.revision_id FROM revisions JOIN items ON item = number "
            "WHERE data_file_id = ?",
            data_file_id,
            data_file_id,
        )
    }
    # Before ours there was at least one, or there would have been nothing to revise.
    return [
        Trace(data_file_id, file.name, one.datetime_uploaded, one)
        for one in revisions[1:]
        if one.data_file_revision_id not in known
    ]


def _revisions(file: DataFile) -> list[Revision]:
    found = {one.data_file_revision_id: one for one in file.revisions}
    if file.current_revision is not None:
        found.setdefault(file.current_revision.data_file_revision_id, file.current_revision)
    return [found[number] for number in sorted(found)]


def _first(file: DataFile) -> Trace | None:
    """Give a data file's first revision: ours comes before what others added."""
    revisions = _revisions(file)
    if not revisions:
        return None
    created = file.datetime_created or revisions[0].datetime_uploaded
    return Trace(file.data_file_id, file.name, created, revisions[0])


def _wanted(row: Row) -> Wanted:
    return Wanted(
        number=row.number,
        name=name_of(row) if row.flight_target is None else None,
        size=row.size,
        sha256=row.sha256,
        since=None if row.began is None else datetime.fromisoformat(row.began),
    )
