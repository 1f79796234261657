"""Moves data files from one instance to another: revisions in their order, names, permissions.

Nothing touches the disk: what the source sends is what the target gets, chunk by chunk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from domo_files_async.bulk.carry import Flight, Made
from domo_files_async.bulk.items import from_session
from domo_files_async.bulk.outcomes import Status
from domo_files_async.errors import (
    AccessNotSetError,
    ChecksumMismatchError,
    DomoFilesError,
    InvalidArgumentError,
    SourceError,
    TransportError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from domo_files_async.bulk.carry import Teller
    from domo_files_async.bulk.items import Item
    from domo_files_async.bulk.job import Job
    from domo_files_async.bulk.journal import Journal, Row
    from domo_files_async.bulk.outcomes import Outcome
    from domo_files_async.models import DataFile, PermissionEntry, Revision
    from domo_files_async.session import DomoFilesSession

__all__ = ("Origin", "carry_revisions", "migrate")

_HELD = 256 * 1024
_MOST_BREAKS = 4


def _principals(given: Mapping[str, str]) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise InvalidArgumentError(
            f"principals must map ids there to ids here, as a dictionary, not {given!r}"
        )
    return {str(there): str(here) for there, here in given.items()}


@attrs.frozen(kw_only=True)
class Origin:
    """Where data files come from.

    Attributes:
        session: Of the other instance.
        revisions: `"all"` or `"current"`.
        principals: Ids there and here; of those that aren't in it, nothing is granted.
    """

    session: DomoFilesSession
    revisions: str = "current"
    principals: Mapping[str, str] = attrs.field(factory=dict, converter=_principals)


async def carry_revisions(
    domo: DomoFilesSession,
    origin: Origin,
    journal: Journal,
    row: Row,
    target: int | None,
    tell: Teller,
) -> tuple[Made, str]:
    """Send the revisions that aren't there yet, in their order, then set the permissions.

    Args:
        domo: Where to.
        origin: Where from.
        journal: Of the job; it knows which revisions are there.
        row: The item's.
        target: The data file that gets them; `None` for a new one.
        tell: Keeps what is about to be sent.

    Returns:
        What was made, and what couldn't be carried over, in words.

    Raises:
        ChecksumMismatchError: The two servers report different bytes.
        AccessNotSetError: It is there, but its permissions aren't.
    """
    source_id = row.item.domo_id
    assert source_id is not None
    file = await origin.session.get_file(source_id, expand=("revisions", "metadata"))
    revisions = _in_order(file)
    if origin.revisions == "current":
        revisions = revisions[-1:]
    done = await _done(journal, row.number)
    attempts, sent = 0, {}
    renamed = None
    if target is not None and row.item.name is not None:
        known_as = (await domo.get_file(target)).name
        renamed = None if row.item.name == known_as else row.item.name
    for revision in revisions:
        number = revision.data_file_revision_id
        if number in done:
            continue
        digest = _lower(revision.sha256_hash_value)
        await tell.started(
            Flight(
                name=file.name if target is None else None,
                size=revision.size_bytes,
                sha256=digest,
                fingerprint=row.item.fingerprint,
                target=target,
                revision=number,
            )
        )
        content = _Content(origin.session, source_id, revision, hashed=digest is None)
        result = await domo.upload(
            await content.source(),
            name=row.item.name or file.name if target is None else renamed,
            description=_description(row.item, file) if target is None else None,
            public=False if target is None else None,
            content_type=revision.content_type,
            data_file_id=target,
        )
        target, attempts = result.data_file_id, attempts + result.attempts
        done[number], sent[number] = result.revision_id, content.sha256
        await journal.write(
            "INSERT OR REPLACE INTO revisions VALUES (?, ?, ?, ?, ?, ?)",
            (
                row.number,
                number,
                result.revision_id,
                result.size_bytes,
                digest or content.sha256,
                _lower(revision.md5_hash),
            ),
        )
        await journal.write(
            "UPDATE items SET data_file_id = ? WHERE number = ?", (target, row.number)
        )
    if target is None:
        raise SourceError(f"Data file {source_id} has no revision there that could be moved")
    stored = await domo.get_file(target, expand=("revisions",))
    made_here = _compare(revisions, _in_order(stored), done, sent, target)
    for number in [one for one, known in done.items() if known is None]:
        # Nobody said the first one's id when it was made.
        await journal.write(
            "UPDATE revisions SET revision_id = ? WHERE item = ? AND source_revision = ?",
            (made_here.get(number), row.number, number),
        )
    because = await _carry_access(domo, origin, row.item, source_id, stored)
    made = Made(
        data_file_id=target,
        revision_id=made_here[revisions[-1].data_file_revision_id],
        size=revisions[-1].size_bytes or 0,
        sha256=_lower(revisions[-1].sha256_hash_value),
        attempts=attempts,
    )
    return made, because


def _in_order(file: DataFile) -> list[Revision]:
    found = {one.data_file_revision_id: one for one in file.revisions}
    if file.current_revision is not None:
        found.setdefault(file.current_revision.data_file_revision_id, file.current_revision)
    return [found[number] for number in sorted(found)]


async def _done(journal: Journal, item: int) -> dict[int, int | None]:
    rows = await journal.ask(
        "SELECT source_revision, revision_id FROM revisions WHERE item = ?", item
    )
    return dict(rows)


def _lower(digest: str | None) -> str | None:
    return None if digest is None else digest.lower()


def _description(item: Item, file: DataFile) -> str | None:
    if item.description is not None:
        return item.description
    return None if file.metadata is None else file.metadata.description


class _Content:
    """The bytes of a revision of another instance, which go on where a connection broke."""

    def __init__(
        self, session: DomoFilesSession, data_file_id: int, revision: Revision, *, hashed: bool
    ) -> None:
        self._session = session
        self._data_file_id = data_file_id
        self._revision = revision
        self._digest = hashlib.sha256() if hashed else None

    @property
    def sha256(self) -> str | None:
        """Of what came, where the source doesn't say it."""
        return None if self._digest is None else self._digest.hexdigest()

    async def source(self) -> bytes | AsyncIterator[bytes]:
        """Give what to upload: what is small as bytes, whose answer can be looked for by digest."""
        size = self._revision.size_bytes
        if size is not None and size <= _HELD:
            return b"".join([chunk async for chunk in self._chunks()])
        return self._chunks()

    async def _chunks(self) -> AsyncIterator[bytes]:
        done, broken = 0, 0
        size = self._revision.size_bytes
        while True:
            try:
                async with self._session.open_download(
                    self._data_file_id,
                    revision_id=self._revision.data_file_revision_id,
                    byte_range=(done, None) if done else None,
                ) as stream:
                    async for chunk in stream:
                        done, broken = done + len(chunk), 0
                        if self._digest is not None:
                            self._digest.update(chunk)
                        yield chunk
            except TransportError:
                broken += 1
                if broken > _MOST_BREAKS or done == size:
                    raise
            else:
                break
        if size is not None and done != size:
            raise TransportError(
                f"Data file {self._data_file_id} gave {done} bytes where {size} were due"
            )


def _compare(
    there: list[Revision],
    here: list[Revision],
    done: Mapping[int, int | None],
    sent: Mapping[int, str | None],
    data_file_id: int,
) -> dict[int, int | None]:
    """Compare what both servers say of each revision; give their ids here, where known.

    The answers may lag: what isn't listed yet is left to `verify`.
    """
    by_id = {one.data_file_revision_id: one for one in here}
    # The first revision's id isn't always told; nobody can have made one before it.
    guessed = iter([number for number in sorted(by_id) if number not in set(done.values())])
    found: dict[int, int | None] = {}
    for revision in there:
        number = revision.data_file_revision_id
        same_here = done[number]
        if same_here is None:
            same_here = next(guessed, None)
        found[number] = same_here
        stored = None if same_here is None else by_id.get(same_here)
        if stored is None:
            continue
        digest = _lower(revision.sha256_hash_value) or sent.get(number)
        other = _lower(stored.sha256_hash_value)
        if digest is None or other is None:
            digest, other = _lower(revision.md5_hash), _lower(stored.md5_hash)
        same = digest is None or other is None or digest == other
        if not same or revision.size_bytes not in {None, stored.size_bytes}:
            raise ChecksumMismatchError(
                f"Revision {same_here} of data file {data_file_id} has {stored.size_bytes} bytes "
                f"with digest {other}, and its source {revision.size_bytes} with {digest}. Delete "
                "that revision and migrate it again",
                expected=digest,
                actual=other,
                data_file_id=data_file_id,
                revision_id=same_here,
            )
    return found


async def _carry_access(
    domo: DomoFilesSession, origin: Origin, item: Item, source_id: int, stored: DataFile
) -> str:
    """Give the data file the permissions that its source has; say what has no place here."""
    lost = []
    public = False
    try:
        there = await origin.session.get_permissions(source_id)
        public = there.public_access if item.public is None else item.public
        now = await domo.get_permissions(stored.data_file_id)
        wanted = now.with_public_access(public)
        owner = str(stored.responsible_user_id)
        for entry in (*there.entries, *item.grants):
            mapped = _mapped(entry, origin.principals)
            if mapped is None:
                lost.append(f"{entry.entity_type} {entry.entity_id}")
            elif mapped.principal != ("USER", owner):
                wanted = wanted.with_entry(mapped)
        if wanted != now:
            await domo.update_permissions(stored.data_file_id, wanted)
    except DomoFilesError as error:
        raise AccessNotSetError(
            data_file_id=stored.data_file_id, revision_id=None, public=public, cause=error
        ) from error
    return f"no grant for {', '.join(lost)}: not among the principals" if lost else ""


def _mapped(entry: PermissionEntry, principals: Mapping[str, str]) -> PermissionEntry | None:
    entity_id = principals.get(f"{entry.entity_type}:{entry.entity_id}")
    entity_id = entity_id or principals.get(entry.entity_id)
    return None if entity_id is None else attrs.evolve(entry, entity_id=entity_id)


async def migrate(
    source: DomoFilesSession,
    target: DomoFilesSession,
    job: Job,
    *,
    principals: Mapping[str, str] | None = None,
    revisions: str = "current",
    ids: Iterable[int] | None = None,
    **options: Any,
) -> list[Outcome]:
    """Move data files from one instance to another; run again, it goes on where it was.

    Args:
        source: A session of the instance that has them.
        target: A session of the one that gets them; either may be on either surface.
        job: Keeps how far it is.
        principals: Ids of users and groups there, with those that they have here. `"USER:5"` and
            `"GROUP:5"` may be said where an id is not enough. Others get no grant.
        revisions: `"all"`, in their order, or the `"current"` one.
        ids: Which data files; by default all that the source's user owns.
        options: Keywords of `Job.run`.

    Returns:
        The outcomes that aren't done, and none if all is. For all of them, iterate over `Job.run`.

    Raises:
        DomoFilesError: The whole job is wrong, and what.
    """
    origin = Origin(session=source, revisions=revisions, principals=principals or {})
    await job.add(from_session(source, ids=ids, revisions=revisions))
    options |= {"source": source, "principals": origin.principals, "revisions": revisions}
    return [
        outcome
        async for outcome in job.run(target, **options)
        if outcome.status in {Status.FAILED, Status.UNKNOWN}
    ]
