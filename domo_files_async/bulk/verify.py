"""A later, independent proof of a job: what is there, what differs, what is missing."""

from __future__ import annotations

import asyncio
import enum
import hashlib
from typing import TYPE_CHECKING

import attrs

from domo_files_async.bulk.items import digest_of, measured
from domo_files_async.errors import DomoFilesError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from domo_files_async.bulk.items import Item
    from domo_files_async.bulk.job import Job
    from domo_files_async.bulk.journal import Row
    from domo_files_async.models import DataFile, Revision
    from domo_files_async.session import DomoFilesSession

__all__ = ("Difference", "DifferenceKind", "verify")

_STEP = 1024 * 1024
_PAGE = 500


class DifferenceKind(enum.StrEnum):
    """How an item isn't as it should be."""

    MISSING = "missing"
    """The data file, or a revision of it, isn't there."""
    DIFFERS = "differs"
    """Other bytes, or another name, are there."""
    UNPROVEN = "unproven"
    """It is there with the right size, but nobody says a digest to compare."""
    UNDONE = "undone"
    """The job didn't get it there."""


@attrs.frozen(kw_only=True)
class Difference:
    """An item that isn't proven to be as it should be.

    Attributes:
        item: The item.
        kind: `"missing"`, `"differs"`, `"unproven"` or `"undone"`.
        detail: What was seen, in words.
        data_file_id: The data file, if any.
    """

    item: Item
    kind: DifferenceKind
    detail: str
    data_file_id: int | None = None


async def verify(
    job: Job, domo: DomoFilesSession, *, thorough: bool = False
) -> AsyncIterator[Difference]:
    """Compare what a job left with what the server says it has, many files in one request.

    Digests are those that the journal holds; a large file's, and one's whose source has changed
    since, is computed from the source as it is now.

    Args:
        job: The job; it may be long finished.
        domo: A session of the instance that got the files.
        thorough: Read every source again, and every data file, too: all bytes are compared, not
            what was said of them.

    Returns:
        What isn't as it should be, and nothing if all is.

    Raises:
        DomoFilesError: The server can't be asked, or the journal can't be read.
    """
    after = 0
    while page := await job.journal.page("1", after, limit=_PAGE):
        after = page[-1].number
        ids = [row.known.data_file_id for row in page if row.known.data_file_id is not None]
        files = {one.data_file_id: one for one in await domo.list_files(ids=ids, expand=_EXPAND)}
        revisions = await _revisions(job, page)
        for row in page:
            async for difference in _differences(
                domo, row, files, revisions.get(row.number, []), thorough=thorough
            ):
                yield difference


_EXPAND = ("revisions",)


@attrs.frozen
class _Expected:
    revision_id: int | None
    size: int | None
    sha256: str | None
    md5: str | None


async def _revisions(job: Job, page: list[Row]) -> dict[int, list[_Expected]]:
    found: dict[int, list[_Expected]] = {}
    rows = await job.journal.ask(
        "SELECT item, revision_id, size, sha256, md5 FROM revisions WHERE item BETWEEN ? AND ? "
        "ORDER BY item, source_revision",
        page[0].number,
        page[-1].number,
    )
    for number, *fields in rows:
        found.setdefault(number, []).append(_Expected(*fields))
    return found


async def _differences(
    domo: DomoFilesSession,
    row: Row,
    files: dict[int, DataFile],
    carried: list[_Expected],
    *,
    thorough: bool,
) -> AsyncIterator[Difference]:
    item, number = row.item, row.known.data_file_id

    def differ(kind: DifferenceKind, detail: str) -> Difference:
        return Difference(item=item, kind=kind, detail=detail, data_file_id=number)

    if number is None or not row.known.state.is_done:
        said = f": {row.known.error}" if row.known.error else ""
        yield differ(DifferenceKind.UNDONE, f"it is {row.known.state}{said}")
        return
    file = files.get(number) or await _looked_up(domo, number)
    if file is None:
        yield differ(DifferenceKind.MISSING, f"data file {number} isn't there")
        return
    if item.data_file_id is None and item.name is not None and file.name != item.name:
        yield differ(DifferenceKind.DIFFERS, f"it is called {file.name!r}, not {item.name!r}")
    stored = _in_order(file)
    if carried:
        for problem in _compare_all(carried, stored):
            yield differ(*problem)
    else:
        for problem in await _compare_source(row, stored, thorough=thorough):
            yield differ(*problem)
    for revision in _read_again(stored, all_of_them=bool(carried)) if thorough else ():
        detail = await _read_back(domo, number, revision)
        if detail:
            yield differ(DifferenceKind.DIFFERS, detail)


async def _looked_up(domo: DomoFilesSession, data_file_id: int) -> DataFile | None:
    """Ask for a data file that isn't in a list: lists may be cut."""
    try:
        return await domo.get_file(data_file_id, expand=_EXPAND)
    except NotFoundError:
        return None


def _read_again(stored: list[Revision], *, all_of_them: bool) -> list[Revision]:
    return stored if all_of_them else stored[-1:]


async def _compare_source(
    row: Row, stored: list[Revision], *, thorough: bool
) -> Iterable[tuple[DifferenceKind, str]]:
    expected, changed = await _expected(row, thorough=thorough)
    problem = _compare(expected, stored[-1] if stored else None)
    if problem is None:
        return ()
    kind, detail = problem
    return ((kind, f"{detail}; the source has changed since" if changed else detail),)


def _compare_all(
    carried: list[_Expected], stored: list[Revision]
) -> Iterable[tuple[DifferenceKind, str]]:
    by_id = {one.data_file_revision_id: one for one in stored}
    told = {one.revision_id for one in carried}
    # Of a new data file the first revision's id isn't always told.
    first = next((one for one in stored if one.data_file_revision_id not in told), None)
    for one in carried:
        revision = first if one.revision_id is None else by_id.pop(one.revision_id, None)
        if revision is not None and one.revision_id is None:
            by_id.pop(revision.data_file_revision_id)
        problem = _compare(one, revision)
        if problem is not None:
            yield problem
    later = [number for number in by_id if number > max((one or 0 for one in told), default=0)]
    if later:
        yield DifferenceKind.DIFFERS, f"revision {later[-1]} was added since, and is current"


def _compare(expected: _Expected, stored: Revision | None) -> tuple[DifferenceKind, str] | None:
    if stored is None:
        which = f"revision {expected.revision_id}" if expected.revision_id else "its revision"
        return DifferenceKind.MISSING, f"{which} isn't there"
    number = stored.data_file_revision_id
    if expected.size is not None and stored.size_bytes not in {None, expected.size}:
        return (
            DifferenceKind.DIFFERS,
            f"revision {number} has {stored.size_bytes} bytes, not {expected.size}",
        )
    compared = False
    for ours, theirs in (
        (expected.sha256, stored.sha256_hash_value),
        (expected.md5, stored.md5_hash),
    ):
        if ours and theirs:
            compared = True
            if ours.lower() != theirs.lower():
                return (
                    DifferenceKind.DIFFERS,
                    f"revision {number} has digest {theirs.lower()}, not {ours.lower()}",
                )
    if compared:
        return None
    return DifferenceKind.UNPROVEN, f"revision {number} has the right size; no digest is known"


async def _expected(row: Row, *, thorough: bool) -> tuple[_Expected, bool]:
    """Give what should be there, and whether the source is another than was sent."""
    sent = _Expected(row.known.revision_id, row.size, row.sha256, None)
    item = row.item
    if item.is_url or item.domo_id is not None:
        return sent, False
    now = await asyncio.to_thread(measured, item)
    if now.size is None:
        return sent, False
    changed = now.fingerprint != row.known.done_fingerprint
    if row.sha256 is not None and not changed and not thorough:
        return sent, False
    try:
        digest = await asyncio.to_thread(digest_of, item.source)
    except OSError:
        return sent, changed
    return _Expected(row.known.revision_id, now.size, digest, None), changed


async def _read_back(domo: DomoFilesSession, number: int, revision: Revision) -> str:
    """Read a revision and compare it with what the server says of it; say what differs."""
    digest, size = hashlib.sha256(), 0
    which = revision.data_file_revision_id
    try:
        async with domo.open_download(number, revision_id=which) as stream:
            async for chunk in stream:
                digest.update(chunk)
                size += len(chunk)
    except DomoFilesError as error:
        return f"revision {which} can't be read: {error}"
    said = revision.sha256_hash_value
    if said is not None and said.lower() != digest.hexdigest():
        return f"revision {which} gives bytes with digest {digest.hexdigest()}, not {said.lower()}"
    if revision.size_bytes not in {None, size}:
        return f"revision {which} gives {size} bytes, not {revision.size_bytes}"
    return ""


def _in_order(file: DataFile) -> list[Revision]:
    found = {one.data_file_revision_id: one for one in file.revisions}
    if file.current_revision is not None:
        found.setdefault(file.current_revision.data_file_revision_id, file.current_revision)
    return [found[number] for number in sorted(found)]
