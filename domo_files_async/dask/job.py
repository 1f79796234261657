"""Runs a job on a cluster: the run of one machine, whose items are carried by workers."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import TYPE_CHECKING, Any

from domo_files_async.bulk.options import Options
from domo_files_async.dask.crew import Crew, working
from domo_files_async.dask.desk import DeskPlugin
from domo_files_async.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from distributed import Client

    from domo_files_async.bulk.job import Job
    from domo_files_async.bulk.outcomes import Outcome
    from domo_files_async.session import DomoFilesSession

__all__ = ("run_on_dask",)

_CLOSE_WITHIN = 2.0
_LARGE_AT_ONCE = 8


async def run_on_dask(
    job: Job,
    client: Client,
    session_factory: Callable[[], DomoFilesSession],
    *,
    concurrency: int = 32,
    bytes_per_second: float | None = None,
    passes: int = 3,
    pass_delay: float = 5.0,
    fail_fast: bool = False,
    settle: float = 15.0,
    lease: float = 30.0,
    lease_bytes: int = 256 * 1024 * 1024,
) -> AsyncIterator[Outcome]:
    """Do what is left of a job on a cluster, and give each item's outcome as it comes.

    The journal stays here, and is written before an outcome is given. Items of another instance
    are carried from here.

    Args:
        job: Opened; its sources are paths or URLs that every worker can reach.
        client: Made with `asynchronous=True`.
        session_factory: Makes a session that isn't entered, here and on each worker; it is pickled,
            so the credential must come from where it runs, as with `DomoFilesSession.from_env`.
        concurrency: Requests that carry bytes in flight, of all workers together.
        bytes_per_second: Of all workers together; `None` for no cap.
        passes: See `Job.run`.
        pass_delay: See `Job.run`.
        fail_fast: See `Job.run`.
        settle: See `Job.run`.
        lease: Seconds after which a worker that doesn't answer is believed dead.
        lease_bytes: Bytes of items that a worker has at a time, or one item that is larger.

    Returns:
        The outcomes, as `Job.run` gives them.

    Raises:
        InvalidArgumentError: The client isn't asynchronous, or a number is out of its range.
        DomoFilesError: See `Job.run`.
    """
    if not client.asynchronous:
        raise InvalidArgumentError("Make the Dask client with asynchronous=True, and await it")
    if concurrency < 1 or lease <= 0 or lease_bytes < 1:
        raise InvalidArgumentError("concurrency, lease and lease_bytes must be above 0")
    name = f"domo-files-{uuid.uuid4().hex}"
    crew = Crew(
        client,
        name,
        budget=concurrency,
        rate=bytes_per_second,
        lease=lease,
        lease_bytes=lease_bytes,
    )
    options = Options(
        concurrency=concurrency,
        large_concurrency=min(_LARGE_AT_ONCE, concurrency),
        passes=passes,
        pass_delay=pass_delay,
        fail_fast=fail_fast,
        settle=settle,
    )
    async with session_factory() as domo:
        await _register(client, name, session_factory)
        try:
            async with working(crew, job.park):
                outcomes = job.run_with(domo, options, crew)
                try:
                    async for outcome in outcomes:
                        yield outcome
                finally:
                    await outcomes.aclose()
        finally:
            # A worker that doesn't answer isn't waited for.
            with contextlib.suppress(TimeoutError, OSError):
                closing: Any = client.unregister_worker_plugin
                await asyncio.wait_for(closing(name), _CLOSE_WITHIN)


async def _register(
    client: Client, name: str, session_factory: Callable[[], DomoFilesSession]
) -> None:
    try:
        await client.register_plugin(DeskPlugin(name, session_factory))
    except TypeError as error:
        raise InvalidArgumentError(
            f"session_factory can't be given to the workers: {error}"
        ) from error
