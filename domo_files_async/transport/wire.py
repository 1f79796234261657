"""One request on its way through aiohttp, which is named here only.

There are two ways. The straight one takes a connection from aiohttp's pool and writes to it: an
aiohttp session would spend more on a small file than all the rest does. Through an aiohttp session
goes what needs one: the requests of a caller who gave one, with all that it was told to do, and
those that a proxy may have to pass on.

Rule 1: a request has the headers that it was given, its host and its framing, and no others.
Rule 2: foreign errors become ours here, once, and bring nothing along that holds a header.
Rule 3: none is sent a second time.
"""

from __future__ import annotations

import asyncio
import ssl as tls
from typing import TYPE_CHECKING, Final, NoReturn, Protocol, TypeAlias

import aiohttp
from aiohttp import ClientRequest, ClientTimeout, DummyCookieJar
from aiohttp.http import HttpProcessingError, StreamWriter
from yarl import URL

from domo_files_async.errors import ConnectError, SessionStateError, StalledError, TransportError
from domo_files_async.protocol.headers import merge_headers, write_head
from domo_files_async.transport.tls import TlsContext, TlsTransport, default_context

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection

    from domo_files_async.config import Timeouts
    from domo_files_async.transport.body import Outgoing

__all__ = ("FAILURES", "Answer", "HttpClient", "Wire", "translated")

HttpClient: TypeAlias = aiohttp.ClientSession
"""What a caller may give to be used in place of connections of our own."""

FAILURES: Final = (aiohttp.ClientError, HttpProcessingError, OSError, EOFError)
"""What is raised where a connection fails; `translated` says it in our words."""

_READ_BUFFER: Final = 256 * 1024
_CONTINUES: Final = range(100, 200)
_SWITCHED: Final = 101
_UNFRAMED: Final = "GET"
_ENCRYPTED: Final = "https"
_ARRIVING: Final = 256 * 1024


class _NotRepeatedError(Exception):
    """Carries a failure past aiohttp, which sends some requests again by itself."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure


class Answer(Protocol):
    """An answer whose head is there.

    Attributes:
        status: The HTTP status.
        content: The body as it comes.
    """

    status: int
    content: aiohttp.StreamReader

    @property
    def headers(self) -> Mapping[str, str]:
        """As they came."""
        ...

    @property
    def content_length(self) -> int | None:
        """Bytes in the body; `None` where the server didn't say."""
        ...

    @property
    def connection(self) -> Connection | None:
        """Where it comes from; without a transport, or `None`, once that serves others again."""
        ...

    def release(self) -> object:
        """Let the connection serve others."""
        ...

    def close(self) -> object:
        """Drop the connection."""
        ...


class _StraightAnswer:
    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        content: aiohttp.StreamReader,
        connection: Connection,
    ) -> None:
        self.status = status
        self.headers = headers
        self.content = content
        self.connection = connection
        self.release, self.close = connection.release, connection.close

    @property
    def content_length(self) -> int | None:
        size = self.headers.get("Content-Length")
        return None if size is None else int(size)


class Wire:
    """Sends requests, each once.

    Args:
        timeouts: How long a connection may take.
        ssl: Of the connections; `None` for the default.
        proxy: URL of a proxy.
        trust_env: Whether the environment may name a proxy.
        client: A session of the caller's, which is used and not closed.
    """

    def __init__(
        self,
        *,
        timeouts: Timeouts,
        ssl: tls.SSLContext | TlsContext | None,
        proxy: str | None,
        trust_env: bool,
        client: HttpClient | None,
    ) -> None:
        self._ssl = ssl
        self._proxy = proxy
        self._trust_env = trust_env
        self._client = client
        self._owns_client = client is None
        self._is_straight = client is None and proxy is None and not trust_env
        # Waiting for a connection of the caller's own pool isn't bounded.
        connect = timeouts.connect if self._owns_client else None
        self._timeout = ClientTimeout(connect=connect, sock_connect=timeouts.connect)
        self._route: tuple[URL, ClientRequest] | None = None
        self._memory = memoryview(bytearray(_ARRIVING))
        self._making_context = asyncio.Lock()

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

    async def send(
        self,
        method: str,
        origin: URL,
        target: str,
        headers: Mapping[str, str],
        outgoing: Outgoing,
    ) -> Answer:
        """Send a request, and wait for the head of its answer.

        Args:
            method: The HTTP method.
            origin: Where to: scheme, host and port.
            target: Path and query, percent-encoded.
            headers: Its own and the credential's.
            outgoing: What it carries.

        Raises:
            Exception: One of `FAILURES`.
        """
        client = self._usable_client()
        framed = {"Host": origin.host_port_subcomponent or ""}
        if outgoing.size is None:
            framed["Transfer-Encoding"] = "chunked"
        elif method != _UNFRAMED:
            framed["Content-Length"] = str(outgoing.size)
        whole = merge_headers(framed, headers)
        if self._is_straight:
            head = write_head(method, target, whole.items())
            return await self._send_straight(client, origin, head, outgoing)
        url = URL(f"{origin.scheme}://{origin.raw_authority}{target}", encoded=True)
        return await self._send_through(client, method, url, whole, outgoing)

    async def _send_straight(
        self, client: HttpClient, origin: URL, head: bytes, outgoing: Outgoing
    ) -> Answer:
        assert client.connector is not None
        route, began = self._routed(client, origin), asyncio.get_running_loop().time()
        connection = await client.connector.connect(route, [], self._timeout)
        try:
            protocol = connection.protocol
            assert protocol is not None
            if origin.scheme == _ENCRYPTED and not isinstance(protocol.transport, TlsTransport):
                await self._encrypt(protocol, origin, began)
            protocol.set_response_params(
                read_until_eof=True, auto_decompress=False, read_bufsize=_READ_BUFFER
            )
            if outgoing.is_small:
                await outgoing.write_small(protocol.transport, head)
            else:
                writer = StreamWriter(protocol, asyncio.get_running_loop())
                if outgoing.size is None:
                    writer.enable_chunking()
                outgoing.start(writer, head)
            while True:
                message, content = await protocol.read()
                if message.code not in _CONTINUES or message.code == _SWITCHED:
                    return _StraightAnswer(message.code, message.headers, content, connection)
        except BaseException:
            connection.close()
            raise

    async def _encrypt(self, protocol: ResponseHandler, origin: URL, began: float) -> None:
        assert protocol.transport is not None
        until = None if self._timeout.connect is None else began + self._timeout.connect
        async with asyncio.timeout_at(until):
            context, host = await self._context(), (origin.raw_host or "").rstrip(".")
            transport = TlsTransport(
                protocol.transport, protocol, context, host=host, memory=self._memory
            )
            await transport.handshake()
        protocol.connection_made(transport)

    async def _context(self) -> tls.SSLContext | TlsContext:
        async with self._making_context:
            if self._ssl is None:
                self._ssl = await asyncio.to_thread(default_context)
            return self._ssl

    def _routed(self, client: HttpClient, origin: URL) -> ClientRequest:
        """Give what the pool wants to know of a request: where it goes, and whether in secret."""
        if self._route is None or self._route[0] is not origin:
            loop = asyncio.get_running_loop()
            # TLS is ours, so that the pool makes connections without it, apart from plain ones.
            plain = URL.build(scheme="http", host=origin.raw_host or "", port=origin.port)
            is_encrypted = origin.scheme == _ENCRYPTED
            route = ClientRequest("GET", plain, loop=loop, session=client, ssl=is_encrypted)
            self._route = origin, route
        return self._route[1]

    async def _send_through(
        self,
        client: HttpClient,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        outgoing: Outgoing,
    ) -> Answer:
        async def once(
            ours: ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            ours.headers.clear()
            ours.headers.update(headers)
            try:
                return await handler(ours)
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
                raise _NotRepeatedError(error) from None

        try:
            return await client.request(
                method,
                url,
                data=_Payload(outgoing),
                # Whoever expects 100 makes aiohttp wait for it, also where the header is taken out.
                headers={"Expect": ""},
                middlewares=(once,),
                skip_auto_headers=("Content-Type",),
                allow_redirects=False,
                raise_for_status=False,
                auto_decompress=False,
                read_bufsize=_READ_BUFFER,
                ssl=self._ssl if isinstance(self._ssl, tls.SSLContext) else True,
                proxy=self._proxy,
                timeout=self._timeout,
            )
        except _NotRepeatedError as error:
            failure = error.failure
        try:
            raise failure
        finally:
            del failure

    def _usable_client(self) -> aiohttp.ClientSession:
        if self._client is None or self._client.closed:
            raise SessionStateError(
                "The aiohttp session is closed: a DomoFilesSession works inside its `async with`, "
                "and needs the aiohttp session given as http to stay open for as long"
            )
        return self._client


class _Payload(aiohttp.Payload):
    """What an aiohttp session is given to be written."""

    def __init__(self, outgoing: Outgoing) -> None:
        super().__init__(None)
        self._outgoing = outgoing
        self._size = outgoing.size

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> NoReturn:
        """Refuse: the bytes are not here to be shown."""
        raise TypeError(f"A body isn't text, neither in {encoding} nor with errors={errors!r}")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write all of it."""
        assert isinstance(writer, StreamWriter)
        await self._outgoing.write(writer)


def translated(error: Exception, what: str, outgoing: Outgoing) -> TransportError:
    """Say in our words what aiohttp, the TLS library or the system said; copy only safe words.

    Args:
        error: One of `FAILURES`.
        what: Method and path.
        outgoing: What was being sent.
    """
    if outgoing.began is None:
        return ConnectError(f"{what}: no connection could be made: {_why_unconnected(error)}")
    sent = outgoing.handed
    if outgoing.watch.is_stalled:
        problem = f"no byte moved for {outgoing.watch.after:g} s (Timeouts.stall)"
        return StalledError(f"{what}: {problem}", request_sent=sent)
    match error:
        case aiohttp.ClientResponseError() | HttpProcessingError():
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
        case tls.SSLCertVerificationError(verify_message=said):
            why = f"the server's certificate isn't trusted ({said})"
        case tls.SSLError(reason=str(reason)):
            why = f"no TLS could be agreed on ({reason})"
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
