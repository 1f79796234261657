"""What workers and tests share: how sessions are made, and how a worker is stopped."""

from __future__ import annotations

import contextlib
import functools
import os
import signal

from domo_files_async import DeveloperToken, DomoFilesSession, RetryPolicy, TransferConfig

WORKERS = 4


def make_session(url, token, **options):
    """Make a session that says in each request which process sends it."""
    return DomoFilesSession(
        url,
        auth=DeveloperToken(token),
        retry=RetryPolicy(initial_backoff=0.001, max_backoff=0.01, budget=10_000),
        transfer=TransferConfig(**options),
        user_agent=f"process {os.getpid()}",
    )


def factory_for(emulator, **options):
    """Give a factory for the sessions of a run; an emulator's credential is no secret."""
    return functools.partial(make_session, emulator.url, emulator.credential("ada"), **options)


@contextlib.asynccontextmanager
async def stopped(client, pid):
    """Stop a worker for as long as the block lasts; at the end it is awake, or gone."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        await client.run(os.getpid, on_error="ignore")
