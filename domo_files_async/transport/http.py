"""One attempt of one request: a `Request` out, its value or a stream of bytes back.

Rule: the credential goes to the instance's own origin, and shows nowhere.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from yarl import URL

from domo_files_async.errors import ApiError, DomoFilesError, UnexpectedResponseError
from domo_files_async.events import RequestFinished, notify
from domo_files_async.protocol.headers import read_date
from domo_files_async.protocol.responses import raise_for_error
from domo_files_async.transport.body import Outgoing
from domo_files_async.transport.credentials import Credential
from domo_files_async.transport.redirects import (
    MAX_REDIRECTS,
    REDIRECTS,
    follow_redirect,
    is_same_origin,
)
from domo_files_async.transport.reply import ERROR_LIMIT, FIRST_ERROR, ReplyStream
from domo_files_async.transport.senders import Senders
from domo_files_async.transport.stalls import Stalls
from domo_files_async.transport.wire import Wire

if TYPE_CHECKING:
    import ssl as tls
    from collections.abc import AsyncIterator, Awaitable, Callable
    from datetime import datetime
    from types import TracebackType

    from domo_files_async.auth import Auth
    from domo_files_async.config import Timeouts
    from domo_files_async.events import Observer
    from domo_files_async.protocol.messages import Request
    from domo_files_async.protocol.surface import Instance
    from domo_files_async.transport.body import Body
    from domo_files_async.transport.limits import Limits
    from domo_files_async.transport.tls import TlsContext
    from domo_files_async.transport.wire import HttpClient

__all__ = ("Http",)

T = TypeVar("T")

_CONTENT: Final = frozenset({200, 206})
_NOBODY: Final = Credential({})


class Http:
    """Sends requests to one instance, each once.

    Args:
        instance: Where to.
        auth: Asked for the credential's headers, for each request.
        timeouts: How long nothing may happen.
        user_agent: What we are called.
        ssl: Of the connections; `None` for the default.
        proxy: URL of a proxy.
        trust_env: Whether the environment may name a proxy.
        client: A session of the caller's, which is used and not closed.
        on_date: Told a reply's Date, with the loop's times when its request began to be written
            and when the reply's head was there.
        pace: Waits until bytes may be sent, and says how many of those asked for.
        meter: Told what moves, and how long small requests take.
        observer: Told of each attempt.
    """

    def __init__(
        self,
        instance: Instance,
        *,
        auth: Auth,
        timeouts: Timeouts,
        user_agent: str,
        ssl: tls.SSLContext | TlsContext | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
        client: HttpClient | None = None,
        on_date: Callable[[datetime, float, float], None] | None = None,
        pace: Callable[[int], Awaitable[int]] | None = None,
        meter: Limits | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.origin = instance.origin
        self._home = URL(instance.origin, encoded=True)
        self._auth = auth
        self._credential = _NOBODY
        self._user_agent = user_agent
        self._wire = Wire(
            timeouts=timeouts, ssl=ssl, proxy=proxy, trust_env=trust_env, client=client
        )
        self._stalls = Stalls(timeouts.stall)
        self._senders = Senders(os.cpu_count() or 1)
        self._on_date = on_date
        self._pace = pace
        self._meter = meter
        self._observer = observer

    async def open(self) -> None:
        """Get ready.

        Raises:
            SessionStateError: The caller's aiohttp session is closed, or another loop's.
        """
        await self._wire.open()

    async def close(self) -> None:
        """Close what `open` made."""
        self._stalls.close()
        self._senders.close()
        await self._wire.close()

    async def send(self, request: Request[T], body: Body | None = None, *, attempt: int = 1) -> T:
        """Send a request once, and read its answer.

        Args:
            request: What to send.
            body: Data between its prefix and suffix. Its memory is free again when this returned
                or raised.
            attempt: Its number, for the observer.

        Raises:
            ApiError: The answer is an error.
            UnexpectedResponseError: The answer makes no sense.
            TransportError: No complete answer came.
            Exception: Whatever *body* raised.
        """
        async with _Exchange(self, request, body, attempt) as (stream, credential):
            reply = await stream.read_reply()
            stream.check_written()
        if reply.status < FIRST_ERROR:
            # What is good is read as it came; what is to become an error's words is masked first.
            with suppress(DomoFilesError):
                return request.reader(reply)
        return request.reader(credential.hidden(reply))

    @asynccontextmanager
    async def open_stream(
        self, request: Request[None], *, attempt: int = 1
    ) -> AsyncIterator[ReplyStream]:
        """Send a request once, and give its answer to be read in chunks.

        Args:
            request: What to send.
            attempt: Its number, for the observer.

        Raises:
            ApiError: The answer is an error, or the maintenance page.
            UnexpectedResponseError: The answer makes no sense.
            TransportError: No answer came.
        """
        async with _Exchange(self, request, None, attempt) as (stream, credential):
            if stream.status not in _CONTENT:
                request.reader(credential.hidden(await stream.read_reply()))
            if stream.headers.get("content-type", "").lower().startswith("text/html"):
                raise_for_error(credential.hidden(stream.reply(await stream.peek(ERROR_LIMIT))))
            stream.headers = credential.hidden(stream.reply(b"")).headers
            yield stream

    async def credential(self) -> Credential:
        """Give the credential as it is now."""
        headers = await self._auth.headers()
        if headers != self._credential.headers:
            self._credential = Credential(headers)
        return self._credential

    async def arrive(
        self, request: Request[Any], body: Body | None, credential: Credential
    ) -> ReplyStream:
        """Send, and follow redirects to the answer that counts."""
        origin, target, carried = self._home, request.target, credential
        for _ in range(MAX_REDIRECTS + 1):
            stream = await self._hop(request, body, origin, target, carried)
            if stream.status not in REDIRECTS:
                return stream
            await stream.end()
            location = stream.headers.get("location")
            url = URL(f"{origin.scheme}://{origin.raw_authority}{target}", encoded=True)
            url = follow_redirect(request, stream.status, url, location, credential)
            target = url.raw_path_qs
            if not is_same_origin(url, origin):
                origin = url.origin()
            if not is_same_origin(url, self._home):
                carried = _NOBODY
        raise UnexpectedResponseError(
            "it redirects in circles",
            status=stream.status,
            method=request.method,
            path=request.path,
        )

    async def _hop(
        self,
        request: Request[Any],
        body: Body | None,
        origin: URL,
        target: str,
        credential: Credential,
    ) -> ReplyStream:
        outgoing = Outgoing(
            request.prefix if request.content is None else request.content,
            body,
            request.suffix,
            stalls=self._stalls,
            senders=self._senders,
            pace=self._pace,
        )
        headers = {
            "User-Agent": self._user_agent,
            "Accept-Encoding": "identity",
            **request.headers,
            **credential.headers,
        }
        stream = ReplyStream(request, outgoing, self._meter)
        try:
            await stream.start(self._wire.send(request.method, origin, target, headers, outgoing))
        except BaseException:
            await stream.end()
            raise
        self._tell_date(stream, outgoing)
        if self._meter is not None and body is None and outgoing.began is not None:
            self._meter.replied(asyncio.get_running_loop().time() - outgoing.began)
        return stream

    def _tell_date(self, stream: ReplyStream, outgoing: Outgoing) -> None:
        date = read_date(stream.headers.get("date"))
        if self._on_date is not None and date is not None and outgoing.began is not None:
            self._on_date(date, outgoing.began, asyncio.get_running_loop().time())

    def tell(self, event: RequestFinished) -> None:
        """Tell the observer."""
        notify(self._observer, event)


class _Exchange:
    """A request and its answer, in an `async with`; a generator's would cost more than it does."""

    __slots__ = ("_attempt", "_began", "_body", "_http", "_request", "_stream")

    def __init__(self, http: Http, request: Request[Any], body: Body | None, attempt: int) -> None:
        self._http = http
        self._request = request
        self._body = body
        self._attempt = attempt
        self._stream: ReplyStream | None = None

    async def __aenter__(self) -> tuple[ReplyStream, Credential]:
        credential = await self._http.credential()
        self._began = asyncio.get_running_loop().time()
        try:
            stream = self._stream = await self._http.arrive(self._request, self._body, credential)
        except BaseException as error:
            self._tell(error)
            raise
        return stream, credential

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._stream is not None
        try:
            await self._stream.end()
        finally:
            self._tell(error)

    def _tell(self, error: BaseException | None) -> None:
        request, stream = self._request, self._stream
        status = None if stream is None else stream.status
        status = error.status if isinstance(error, ApiError) else status
        self._http.tell(
            RequestFinished(
                operation=request.operation,
                method=request.method,
                path=request.path,
                attempt=self._attempt,
                status=status,
                size=0 if stream is None else stream.sent,
                elapsed=asyncio.get_running_loop().time() - self._began,
                origin=self._http.origin,
            )
        )
