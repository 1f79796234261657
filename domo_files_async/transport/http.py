"""One attempt of one request: a `Request` out, its value or a stream of bytes back.

Rule 1: a request has the headers that it was given and no others, whoever's aiohttp session it is.
Rule 2: foreign errors become ours here, once, and bring nothing along that holds a header.
Rule 3: a connection is kept only after a complete answer to a request that was fully written;
any other is dropped before `send` returns or raises, so that the memory lent to it is free.
Rule 4: the credential goes to the instance's own origin, and shows nowhere.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import aiohttp
from aiohttp import ClientTimeout, DummyCookieJar
from yarl import URL

from domo_files_async.errors import (
    ApiError,
    ConnectError,
    DomoFilesError,
    SessionStateError,
    StalledError,
    TransportError,
    UnexpectedResponseError,
)
from domo_files_async.events import RequestFinished, notify
from domo_files_async.protocol.headers import read_date
from domo_files_async.protocol.messages import Reply
from domo_files_async.protocol.responses import raise_for_error
from domo_files_async.transport.body import Outgoing
from domo_files_async.transport.credentials import Credential
from domo_files_async.transport.intake import MOMENT, Intake
from domo_files_async.transport.redirects import (
    MAX_REDIRECTS,
    REDIRECTS,
    follow_redirect,
    is_same_origin,
)

if TYPE_CHECKING:
    import ssl as tls
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from domo_files_async.auth import Auth
    from domo_files_async.config import Timeouts
    from domo_files_async.events import Observer
    from domo_files_async.protocol.messages import Request
    from domo_files_async.protocol.surface import Instance
    from domo_files_async.transport.body import Body
    from domo_files_async.transport.limits import Limits

__all__ = ("Http", "HttpClient", "ReplyStream")

T = TypeVar("T")

HttpClient: TypeAlias = aiohttp.ClientSession
"""What a caller may give to be used in place of a client of our own."""


_ERROR_LIMIT: Final = 64 * 1024
_ANSWER_LIMIT: Final = 256 * 1024 * 1024
_READ_BUFFER: Final = 256 * 1024
_FIRST_ERROR: Final = 400
_CONTENT: Final = frozenset({200, 206})
_FRAMING: Final = ("Content-Length", "Transfer-Encoding")
_NOBODY: Final = Credential({})


class _NotRepeatedError(Exception):
    """Carries a failure past aiohttp, which sends some requests again by itself."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure


class ReplyStream:
    """An answer whose body comes in chunks.

    Attributes:
        status: The HTTP status.
        headers: Names in lower case; of a repeated header the first one.
        content_length: Bytes in the body; `None` where the server didn't say.
    """

    status: int
    headers: Mapping[str, str]
    content_length: int | None

    def __init__(
        self, request: Request[Any], url: URL, outgoing: Outgoing, meter: Limits | None
    ) -> None:
        self._request = request
        self._outgoing = outgoing
        self._meter = meter
        self._url = url
        self._response: aiohttp.ClientResponse | None = None
        self._peeked: list[bytes] = []
        self._intake: Intake | None = None
        self._failure: TransportError | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the rest of the body, in chunks as they come.

        Raises:
            StalledError: Nothing came for `Timeouts.stall` seconds.
            TransportError: The connection ended before the body did.
        """
        while self._peeked:
            yield self._peeked.pop(0)
        while chunk := await self._read():
            yield chunk

    async def peek(self, limit: int) -> bytes:
        """Read the first bytes, about *limit* of them; `chunks` will give them again."""
        self._peeked = await self._gather(limit)
        return b"".join(self._peeked)

    async def read_reply(self) -> Reply:
        """Read all of it; of an error, the beginning.

        Raises:
            UnexpectedResponseError: It is longer than any answer of the API.
        """
        is_error = self.status >= _FIRST_ERROR
        body = b"".join(await self._gather(_ERROR_LIMIT if is_error else _ANSWER_LIMIT))
        if is_error:
            body = body[:_ERROR_LIMIT]
        elif len(body) > _ANSWER_LIMIT:
            raise UnexpectedResponseError(
                f"it is longer than {_ANSWER_LIMIT} bytes",
                status=self.status,
                method=self._request.method,
                path=self._request.path,
            )
        return self.reply(body)

    @property
    def path(self) -> str:
        """The request's path, without its query."""
        return self._request.path

    def reply(self, body: bytes) -> Reply:
        """Make a reply of the head and *body*."""
        asked, came = self._request, datetime.now(UTC)
        return Reply(self.status, self.headers, body, asked.method, asked.path, came)

    async def _gather(self, limit: int) -> list[bytes]:
        gathered, size = [], 0
        while size <= limit and (chunk := await self._read()):
            gathered.append(chunk)
            size += len(chunk)
        return gathered

    async def fill(self, view: memoryview) -> int:
        """Read until *view* is full, a moment is over, or the body is.

        Returns:
            Bytes that were read; 0 at the end of the body.

        Raises:
            StalledError: Nothing came for `Timeouts.stall` seconds.
            TransportError: The connection ended before the body did. What came before is given
                first, and the error raised by the next call.
        """
        assert self._intake is not None
        time = asyncio.get_running_loop().time
        count, until = 0, time() + MOMENT
        self._intake.give(self._peeked)
        try:
            async with self._outgoing.watch as watch:
                watch.moved()
                while self._failure is None and count < len(view):
                    step = await self._intake.read_into(view[count:], watch.moved)
                    count += step
                    if not step or time() > until:
                        break
        except (aiohttp.ClientError, OSError, EOFError) as error:
            self._failure = _translated(error, self._request, self._outgoing)
        if self._meter is not None:
            self._meter.received(count)
        if not count and self._failure is not None:
            raise self._failure
        return count

    async def _read(self) -> bytes:
        assert self._response is not None
        try:
            content = self._response.content
            if content.is_eof():
                chunk = content.read_nowait()
            else:
                async with self._outgoing.watch as watch:
                    watch.moved()
                    chunk = await content.readany()
        except (aiohttp.ClientError, OSError) as error:
            failure = _translated(error, self._request, self._outgoing)
        else:
            if self._meter is not None:
                self._meter.received(len(chunk))
            if self._intake is not None:
                self._intake.came += len(chunk)
            return chunk
        raise failure

    def _metered(self) -> AbstractContextManager[None]:
        return nullcontext() if self._meter is None else self._meter.metered(self._outgoing.taken)

    @property
    def sent(self) -> int:
        """Bytes of the body that were sent."""
        return self._outgoing.written

    async def start(self, sending: Awaitable[aiohttp.ClientResponse]) -> None:
        """Send the request, and wait for the answer's head."""
        failure: BaseException
        try:
            async with self._outgoing.watch:
                with self._metered():
                    self._response = await sending
                    self._outgoing.is_answered = True
        except _NotRepeatedError as error:
            failure = _translated(error.failure, self._request, self._outgoing)
        except (aiohttp.ClientError, OSError) as error:
            failure = _translated(error, self._request, self._outgoing)
        else:
            headers: dict[str, str] = {}
            for name, value in self._response.headers.items():
                headers.setdefault(name.lower(), value)
            self.status = self._response.status
            self.headers = headers
            self.content_length = self._response.content_length
            is_framed = "transfer-encoding" not in headers
            self._intake = Intake(self._response, self.content_length if is_framed else None)
            return
        # Raised out here, it has no context that would hold the request's headers.
        raise self._outgoing.source_error or failure

    async def end(self) -> None:
        """Keep the connection, or drop it with all that it refers to."""
        response = self._response
        is_released = response is not None and response.connection is None
        if not (is_released and self._outgoing.is_done):
            self._outgoing.abandon()
        if response is not None:
            response.close()
        await self._outgoing.settle()

    def check_written(self) -> None:
        """Raise unless the request was fully written before its answer, or the answer is an error.

        Raises:
            TransportError: The server claims to have done it without having had all of it.
        """
        if self.status < _FIRST_ERROR and not self._outgoing.is_done:
            raise self._outgoing.source_error or TransportError(
                f"{self._request.method} {self._request.path} was answered with {self.status} "
                "before its body was sent: what the server has of it isn't known"
            )


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
        ssl: tls.SSLContext | bool | aiohttp.Fingerprint | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
        client: HttpClient | None = None,
        on_date: Callable[[datetime, float, float], None] | None = None,
        pace: Callable[[int], Awaitable[int]] | None = None,
        meter: Limits | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._origin = instance.origin
        self._auth = auth
        self._timeouts = timeouts
        self._user_agent = user_agent
        self._ssl = True if ssl is None else ssl
        self._proxy = proxy
        self._trust_env = trust_env
        self._client = client
        self._owns_client = client is None
        # Waiting for a connection of the caller's own pool isn't bounded.
        connect = timeouts.connect if self._owns_client else None
        self._timeout = ClientTimeout(connect=connect, sock_connect=timeouts.connect)
        self._on_date = on_date
        self._pace = pace
        self._meter = meter
        self._observer = observer

    async def open(self) -> None:
        """Get ready.

        Raises:
            SessionStateError: The caller's aiohttp session is closed, or another loop's.
        """
        if self._client is None:
            self._client = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),
                cookie_jar=DummyCookieJar(),
                trust_env=self._trust_env,
            )
        elif self._client._loop is not asyncio.get_running_loop():  # noqa: SLF001 - `loop` warns
            raise SessionStateError(
                "The aiohttp session given as http belongs to another event loop: "
                "make it where it is used"
            )
        self._usable_client()

    async def close(self) -> None:
        """Close what `open` made."""
        if self._owns_client and self._client is not None:
            await self._client.close()

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
        async with self._exchange(request, body, attempt) as (stream, credential):
            reply = await stream.read_reply()
            stream.check_written()
        if reply.status < _FIRST_ERROR:
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
        async with self._exchange(request, None, attempt) as (stream, credential):
            if stream.status not in _CONTENT:
                request.reader(credential.hidden(await stream.read_reply()))
            if stream.headers.get("content-type", "").lower().startswith("text/html"):
                raise_for_error(credential.hidden(stream.reply(await stream.peek(_ERROR_LIMIT))))
            stream.headers = credential.hidden(stream.reply(b"")).headers
            yield stream

    @asynccontextmanager
    async def _exchange(
        self, request: Request[Any], body: Body | None, attempt: int
    ) -> AsyncIterator[tuple[ReplyStream, Credential]]:
        credential = Credential(await self._auth.headers())
        loop = asyncio.get_running_loop()
        began = loop.time()
        status, size = None, 0
        try:
            stream = await self._arrive(request, body, credential)
            status, size = stream.status, stream.sent
            try:
                yield stream, credential
            finally:
                await stream.end()
        except ApiError as error:
            status = error.status
            raise
        finally:
            notify(
                self._observer,
                RequestFinished(
                    operation=request.operation,
                    method=request.method,
                    path=request.path,
                    attempt=attempt,
                    status=status,
                    size=size,
                    elapsed=loop.time() - began,
                    origin=self._origin,
                ),
            )

    async def _arrive(
        self, request: Request[Any], body: Body | None, credential: Credential
    ) -> ReplyStream:
        """Send, and follow redirects to the answer that counts."""
        url = URL(f"{self._origin}{request.target}", encoded=True)
        home, carried = url, credential
        for _ in range(MAX_REDIRECTS + 1):
            stream = await self._hop(request, body, url, carried)
            if stream.status not in REDIRECTS:
                return stream
            await stream.end()
            location = stream.headers.get("location")
            url = follow_redirect(request, stream.status, url, location, credential)
            if not is_same_origin(url, home):
                carried = _NOBODY
        raise UnexpectedResponseError(
            "it redirects in circles",
            status=stream.status,
            method=request.method,
            path=request.path,
        )

    async def _hop(
        self, request: Request[Any], body: Body | None, url: URL, credential: Credential
    ) -> ReplyStream:
        outgoing = Outgoing(
            request.prefix if request.content is None else request.content,
            body,
            request.suffix,
            stall=self._timeouts.stall,
            pace=self._pace,
        )
        stream = ReplyStream(request, url, outgoing, self._meter)
        try:
            await stream.start(self._requested(request, url, outgoing, credential))
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

    def _requested(
        self, request: Request[Any], url: URL, outgoing: Outgoing, credential: Credential
    ) -> Awaitable[aiohttp.ClientResponse]:
        async def once(
            ours: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            framing = {name: ours.headers[name] for name in _FRAMING if name in ours.headers}
            if request.method in {"GET", "HEAD"}:
                framing = {}
            ours.headers.clear()
            ours.headers.update({"Host": url.host_port_subcomponent or "", **framing})
            ours.headers.update({"User-Agent": self._user_agent, "Accept-Encoding": "identity"})
            ours.headers.update(request.headers)
            ours.headers.update(credential.headers)
            try:
                return await handler(ours)
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
                raise _NotRepeatedError(error) from None

        return self._usable_client().request(
            request.method,
            url,
            data=outgoing,
            middlewares=(once,),
            skip_auto_headers=("Content-Type",),
            allow_redirects=False,
            raise_for_status=False,
            auto_decompress=False,
            read_bufsize=_READ_BUFFER,
            ssl=self._ssl,
            proxy=self._proxy,
            timeout=self._timeout,
        )

    def _usable_client(self) -> aiohttp.ClientSession:
        if self._client is None or self._client.closed:
            raise SessionStateError(
                "The aiohttp session is closed: a DomoFilesSession works inside its `async with`, "
                "and needs the aiohttp session given as http to stay open for as long"
            )
        return self._client


def _translated(error: Exception, request: Request[Any], outgoing: Outgoing) -> TransportError:
    """Say in our words what aiohttp, the TLS library or the system said; copy only safe words."""
    what = f"{request.method} {request.path}"
    if outgoing.began is None:
        return ConnectError(f"{what}: no connection could be made: {_why_unconnected(error)}")
    sent = outgoing.handed
    match error:
        case TimeoutError():
            problem = f"no byte moved for {outgoing.watch.stall:g} s (Timeouts.stall)"
            return StalledError(f"{what}: {problem}", request_sent=sent)
        case aiohttp.ClientResponseError():
            problem = "the answer isn't HTTP"
        case aiohttp.ClientPayloadError() | EOFError():
            problem = "the answer broke off"
        case OSError(strerror=str(reason)):
            problem = f"the connection was lost ({reason})"
        case _:
            problem = "the connection was closed without an answer"
    return TransportError(f"{what}: {problem}", request_sent=sent)


def _why_unconnected(error: Exception) -> str:
    match error:
        case TimeoutError():
            why = "it took too long (Timeouts.connect)"
        case aiohttp.ClientConnectorCertificateError(certificate_error=reason):
            said = getattr(reason, "verify_message", "it isn't for this host")
            why = f"the server's certificate isn't trusted ({said})"
        case aiohttp.ServerFingerprintMismatch():
            why = "the server's certificate isn't the one expected"
        case aiohttp.ClientHttpProxyError(status=status):
            why = f"the proxy answered with {status}"
        case aiohttp.ClientProxyConnectionError():
            why = "the proxy can't be reached"
        case OSError(strerror=str(reason)):
            why = f"{getattr(error, 'host', 'the server')}: {reason}"
        case _:
            why = "it was closed at once"
    return f"{why}; check the instance's name, the network and the proxy, if there is one"
