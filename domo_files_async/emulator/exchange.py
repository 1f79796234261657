"""One request and its reply, with the fault that it meets, if any."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import TYPE_CHECKING, Any

from aiohttp import BodyPartReader, web

from domo_files_async.emulator.rules import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from domo_files_async.emulator.faults import Behaviour, Fault, ReceivedRequest
    from domo_files_async.emulator.store import Store, User

__all__ = ("Exchange", "ResetError")

_LARGEST_JSON = 1024 * 1024
_SLICE = 64 * 1024


class ResetError(Exception):
    """The connection was reset on purpose; there is nobody to answer."""


class Exchange:
    """What a handler works with.

    Attributes:
        store: What the emulator knows.
        behaviour: What it may do in one way or another.
        user: Whose credential it was.
        parameters: The pieces of the path that have names.
        is_product: Whether it came over the product surface.
        received: What the emulator's list of requests says of it.
    """

    def __init__(
        self,
        request: web.BaseRequest,
        *,
        store: Store,
        behaviour: Behaviour,
        closing: asyncio.Event,
        fault: Fault | None,
        received: ReceivedRequest,
        parameters: Mapping[str, str],
        is_product: bool,
    ) -> None:
        self._request = request
        self._closing = closing
        self._fault = fault
        self.store = store
        self.behaviour = behaviour
        self.user: User
        self.received = received
        self.parameters = parameters
        self.is_product = is_product

    @property
    def query(self) -> Mapping[str, str]:
        """The query's parameters; of a repeated one the last."""
        return self.received.query

    def every(self, *names: str) -> list[str]:
        """Give all values of a repeated parameter."""
        return [value for name in names for value in self._request.query.getall(name, [])]

    @property
    def headers(self) -> Mapping[str, str]:
        """The request's headers."""
        return self._request.headers

    def id_of(self, name: str) -> int:
        """Give a number from the path."""
        text = self.parameters[name]
        try:
            return int(text)
        except ValueError:
            raise Refusal(400, f"{text} is no number.") from None

    async def body(self) -> AsyncIterator[bytes]:
        """Give the request's body as it comes; faults strike in the middle of it."""
        fault = self._fault
        middle = (self._request.content_length or 0) // 2
        corrupting = bool(fault and fault.corrupt)
        struck = fault is None or not (fault.stall or fault.reset == "body")
        async for piece in self._pieces():
            data = piece
            self.received.size += len(data)
            if corrupting and data:
                data, corrupting = bytes([data[0] ^ 1]) + data[1:], False
            if fault and fault.rate:
                await self.stand_still(len(data) / fault.rate)
            if not struck and fault and self.received.size >= middle:
                struck = True
                await self._strike(fault)
            yield data
        if not struck and fault:
            await self._strike(fault)

    async def _pieces(self) -> AsyncIterator[bytes]:
        while piece := await self._request.content.readany():
            yield piece

    async def _strike(self, fault: Fault) -> None:
        if fault.reset == "body":
            self.reset()
        if fault.stall:
            await self.stand_still(fault.stall)

    async def form_file(self) -> AsyncIterator[bytes]:
        """Give the bytes of the form's field `file`; `content_type` is its own then."""
        found = False
        # The reader takes its bytes from the connection; what it costs is counted by the header.
        reader = await self._request.multipart()
        while (part := await reader.next()) is not None:
            if isinstance(part, BodyPartReader) and part.name == "file":
                found = True
                self.form_type = part.headers.get("Content-Type")
                while piece := await part.read_chunk(_SLICE):
                    yield bytes(piece)
            elif isinstance(part, BodyPartReader):
                await part.release()
        self.received.size = self._request.content_length or self.received.size
        if not found:
            raise Refusal(400, "The form has no field 'file'.")

    form_type: str | None = None

    async def json(self) -> Any:
        """Read a small body as JSON."""
        pieces, size = [], 0
        async for piece in self.body():
            pieces.append(piece)
            size += len(piece)
            if size > _LARGEST_JSON:
                raise Refusal(413, "The request body is too large.")
        try:
            return json.loads(b"".join(pieces))
        except (ValueError, RecursionError):
            raise Refusal(400, "The request body is no JSON.") from None

    async def drain(self) -> None:
        """Read what is left of the body, and let it fall."""
        async for _ in self.body():
            pass

    def reply(self, value: Any) -> web.Response:
        """Answer with JSON."""
        text = json.dumps(value)
        if self._fault and self._fault.corrupt:
            text = text[: len(text) // 2]
        return web.Response(text=text, content_type="application/json", charset="UTF-8")

    async def send(
        self, reply: web.StreamResponse, size: int, chunks: AsyncIterator[bytes]
    ) -> web.StreamResponse:
        """Answer with a body in chunks; faults strike in the middle of it."""
        fault = self._fault
        reply.content_length = size
        await reply.prepare(self._request)
        sent, struck = 0, fault is None
        async for chunk in chunks:
            data = chunk
            if fault and fault.rate:
                await self.stand_still(len(data) / fault.rate)
            if fault and not struck and sent + len(data) > size // 2:
                struck = True
                half = size // 2 - sent
                await reply.write(data[:half])
                if fault.reset == "body":
                    self.reset()
                if fault.stall:
                    await self.stand_still(fault.stall)
                data = data[half:]
                if fault.corrupt and data:
                    data = bytes([data[0] ^ 1]) + data[1:]
                sent += half
            await reply.write(data)
            sent += len(data)
        await reply.write_eof()
        return reply

    async def stand_still(self, seconds: float) -> None:
        """Wait, unless the emulator closes."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return
        self.reset()

    def reset(self) -> None:
        """Reset the connection, as a network does.

        Raises:
            ResetError: Always, since nobody is there any more.
        """
        transport = self._request.transport
        if transport is not None:
            connection: socket.socket | None = transport.get_extra_info("socket")
            if connection is not None:
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            transport.abort()
        raise ResetError
