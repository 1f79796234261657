"""One large item, whose parts several workers send: opened, committed or aborted from here.

Rule 1: parts go to any worker, and twice if need be; the commit is sent from here, once.
Rule 2: no commit while a worker that was lost may still send.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Protocol

import attrs

from domo_files_async.bulk.carry import Flight, Made, set_access
from domo_files_async.bulk.items import measured
from domo_files_async.bulk.journal import LARGE
from domo_files_async.bulk.urls import state_of
from domo_files_async.dask.words import Parts
from domo_files_async.engine import endpoints
from domo_files_async.engine.groups import TaskGroup
from domo_files_async.engine.source import guess_type
from domo_files_async.engine.target import Naming, Target
from domo_files_async.errors import DomoFilesError, OutcomeUnknownError, SourceError
from domo_files_async.planning.parts import plan_parts
from domo_files_async.planning.retry import is_answer_lost

if TYPE_CHECKING:
    from collections.abc import Callable

    from domo_files_async.bulk.carry import Teller
    from domo_files_async.bulk.items import Item
    from domo_files_async.engine.shared import Shared
    from domo_files_async.models import CommittedUpload, SessionId
    from domo_files_async.planning.parts import PartPlan
    from domo_files_async.session import DomoFilesSession

__all__ = ("Pieces", "Sender", "carry_large", "cut")

_AT_ONCE = 4
"""Parts in one order: few enough to be done again, enough to be worth the messages."""


class Sender(Protocol):
    """Who has parts sent; see `Crew`."""

    @property
    def size(self) -> int:
        """How many workers there are."""

    async def have_sent(self, order: Callable[[int], Parts]) -> tuple[int, float]:
        """Have parts sent."""


@attrs.frozen
class Pieces:
    """An item as it is now, and how it is cut."""

    item: Item
    plan: PartPlan


async def cut(shared: Shared, item: Item) -> Pieces | None:
    """Cut an item of which several workers can read ranges; `None` where one is to send it."""
    if item.size is None or item.size < max(LARGE, shared.transfer.multipart_threshold):
        return None
    try:
        now = await asyncio.to_thread(_measured, item)
    except SourceError:
        # It isn't for us to read.
        return None
    if now.size is None or now.fingerprint is None:
        return None
    plan = plan_parts(now.size, part_size=shared.transfer.part_size)
    return Pieces(now, plan) if plan.count > 1 else None


async def carry_large(
    domo: DomoFilesSession,
    shared: Shared,
    pieces: Pieces,
    target: int | None,
    tell: Teller,
    crew: Sender,
) -> Made:
    """Have an item's parts sent by whoever has room, and commit them.

    Raises:
        DomoFilesError: It failed; the multipart session was aborted.
    """
    item, plan = pieces.item, pieces.plan
    own = os.path.basename(item.source) or item.source  # noqa: PTH119 - also of a URL
    name = item.name or (own if target is None else None)
    flight = Flight(
        name=name if target is None else None,
        size=plan.size,
        sha256=None,
        fingerprint=item.fingerprint,
        target=target,
    )
    await tell.started(flight)
    naming = Naming(
        shared=shared,
        target=Target(name=name, description=item.description, data_file_id=target),
        name=name,
        content_type=item.content_type or guess_type(name or item.source),
    )
    # Cancelled or not, the session aborts at its end what reaches it.
    session_id = await asyncio.shield(shared.owned.start(_open(shared, naming)))
    try:
        attempts = await _have_sent(crew, pieces, session_id, naming.content_type or "")
    except BaseException:
        await shared.abort(session_id)
        raise
    for index in range(1, plan.count + 1):
        shared.drafts.part_sent(session_id, index, plan.part(index).size)
    committed = await _commit(shared, session_id)
    made = Made(
        data_file_id=committed.data_file_id,
        revision_id=committed.revision_id,
        size=plan.size,
        sha256=None,
        attempts=attempts,
    )
    await tell.made(made)
    if target is None or item.public is not None or item.grants:
        await set_access(domo, item, made.data_file_id, is_new=target is None)
    return made


async def _open(shared: Shared, naming: Naming) -> SessionId:
    sent = await naming.settle()
    session_id = await endpoints.create_session(
        shared, naming.opening(sent), name=sent.name or "", data_file_id=naming.target.data_file_id
    )
    shared.open_sessions[session_id] = None
    return session_id


async def _have_sent(crew: Sender, pieces: Pieces, session_id: str, content_type: str) -> int:
    plan = pieces.plan
    each = max(1, min(_AT_ONCE, plan.count // (2 * max(1, crew.size))))

    async def send(first: int) -> tuple[int, float]:
        def order(number: int) -> Parts:
            return Parts(
                number=number,
                item=pieces.item,
                session_id=session_id,
                content_type=content_type,
                plan=plan,
                first=first,
                last=min(first + each - 1, plan.count),
            )

        return await crew.have_sent(order)

    async with TaskGroup() as group:
        tasks = [group.create_task(send(first)) for first in range(1, plan.count + 1, each)]
    await asyncio.sleep(max(0.0, max(task.result()[1] for task in tasks) - time.monotonic()))
    return sum(task.result()[0] for task in tasks)


async def _commit(shared: Shared, session_id: SessionId) -> CommittedUpload:
    try:
        committed = await endpoints.commit(shared, session_id)
    except DomoFilesError as error:
        if not isinstance(error, OutcomeUnknownError) and not is_answer_lost(error):
            await shared.abort(session_id)
        raise
    finally:
        # What may be committed isn't aborted.
        shared.open_sessions.pop(session_id, None)
    return committed


def _measured(item: Item) -> Item:
    if not item.is_url:
        return measured(item)
    size, fingerprint = state_of(item.source)
    return attrs.evolve(item, size=size, fingerprint=fingerprint)
