"""What the transport's tests share."""

from __future__ import annotations

import asyncio
import functools
import selectors
from contextlib import asynccontextmanager

from domo_files_async.auth import DeveloperToken
from domo_files_async.config import Timeouts
from domo_files_async.engine.bodies import HeldBody
from domo_files_async.protocol.messages import Request
from domo_files_async.protocol.responses import raise_for_error
from domo_files_async.protocol.surface import parse_instance
from domo_files_async.transport.http import Http

SECRET = "s3cret/t0ken+of=ours"

WAY = {"trust_env": False}
"""Which of the two ways requests go, where a test doesn't say: see the fixture `way`."""


def read(reply):
    raise_for_error(reply)
    return reply.body


def request(method="PUT", *, operation="upload_part", repeatable=True, reader=read, **more):
    path = more.pop("path", "/domo/data-files/v1/7")
    return Request(
        operation=operation, method=method, path=path, repeatable=repeatable, reader=reader, **more
    )


def lent(data):
    return HeldBody([memoryview(data)])


def download(**more):
    return request("GET", operation="open_download", **more)


@asynccontextmanager
async def opened(server, *, stall=5.0, connect=5.0, auth=None, **more):
    way = {} if {"client", "proxy"} & set(more) else WAY
    http = Http(
        parse_instance(server.origin),
        auth=auth or DeveloperToken(SECRET),
        timeouts=Timeouts(connect=connect, stall=stall),
        user_agent="ours/1",
        **(way | more),
    )
    await http.open()
    try:
        yield http
    finally:
        await http.close()


class Chunks:
    """A body that gives what it is told to, and counts how often it was begun."""

    def __init__(self, *chunks, size=None, repeatable=True):
        self.given = chunks
        self.size = size
        self.repeatable = repeatable
        self.begun = 0
        self.closed = 0

    async def chunks(self):
        self.begun += 1
        try:
            for chunk in self.given:
                if isinstance(chunk, BaseException):
                    raise chunk
                if isinstance(chunk, asyncio.Event):
                    await chunk.wait()
                else:
                    yield chunk
        finally:
            self.closed += 1


class _Skipping(selectors.DefaultSelector):
    skipped = 0.0

    def select(self, timeout=None):
        events = super().select(0)
        if not events and timeout:
            self.skipped += timeout
        return events


class _SkippingLoop(asyncio.SelectorEventLoop):
    """Its clock jumps to the next timer instead of waiting for it."""

    def __init__(self):
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self):
        return self._skipping.skipped


def in_no_time(test):
    """Run a test whose waiting costs nothing."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        with asyncio.Runner(loop_factory=_SkippingLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run
