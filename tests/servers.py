"""A server that does what a script says, byte by byte; for the transport's tests."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ("Connection", "Head", "ScriptedServer", "answer")


def answer(
    status: int, body: bytes = b"", headers: Mapping[str, str] | None = None, *, length=None
) -> bytes:
    """Write a whole answer; *length* is what it claims, by default the truth."""
    lines = [
        f"HTTP/1.1 {status} Scripted",
        f"Content-Length: {len(body) if length is None else length}",
    ]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@dataclass
class Head:
    """A request's first line and headers, names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    names: list[str]


@dataclass(eq=False)
class Connection:
    """One client's connection; `received` is all that was read of it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    received: bytearray = field(default_factory=bytearray)
    heads: list[Head] = field(default_factory=list)

    async def head(self) -> Head:
        raw = await self.reader.readuntil(b"\r\n\r\n")
        self.received += raw
        first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
        method, target, _ = first.split(" ")
        pairs = [line.split(": ", 1) for line in lines]
        names = [name for name, _ in pairs]
        head = Head(method, target, {name.lower(): value for name, value in pairs}, names)
        self.heads.append(head)
        return head

    async def body(self, size: int) -> bytes:
        data = await self.reader.readexactly(size)
        self.received += data
        return data

    async def request(self) -> tuple[Head, bytes]:
        head = await self.head()
        if head.headers.get("transfer-encoding") == "chunked":
            return head, await self._chunked()
        return head, await self.body(int(head.headers.get("content-length", "0")))

    async def _chunked(self) -> bytes:
        whole = b""
        while True:
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            whole += await self.body(size)
            await self.reader.readexactly(2)
            if not size:
                return whole

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def rest(self) -> bytes:
        """Read until the client is gone, however it goes."""
        whole = b""
        try:
            while data := await self.reader.read(65536):
                whole += data
                self.received += data
        except ConnectionError:
            pass
        return whole

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Drop the connection so that the other side gets a reset."""
        raw = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = "Callable[[Connection], Awaitable[object]]"


class ScriptedServer:
    """Plays *script* on every connection; a failure in it fails the test."""

    def __init__(self, script, *, tls: ssl.SSLContext | None = None, buffer: int | None = None):
        self._script: Callable[[Connection], Awaitable[object]] = script
        self._tls = tls
        self._buffer = buffer
        self._tasks: set[asyncio.Task[None]] = set()
        self.failures: list[BaseException] = []
        self.connections: list[Connection] = []

    async def __aenter__(self) -> Self:
        listener = socket.socket()
        if self._buffer:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
        listener.bind(("127.0.0.1", 0))
        self._server = await asyncio.start_server(
            self._accept, sock=listener, ssl=self._tls, limit=self._buffer or 2**16
        )
        self.port = listener.getsockname()[1]
        self.origin = f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, kind, error, trace) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for connection in self.connections:
            connection.writer.transport.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if error is None and self.failures:
            raise self.failures[0]

    async def finished(self) -> None:
        """Wait until every script so far is over."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        self.connections.append(connection)
        task = asyncio.get_running_loop().create_task(self._play(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _play(self, connection: Connection) -> None:
        try:
            await self._script(connection)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except Exception as error:
            self.failures.append(error)
            connection.writer.transport.abort()
