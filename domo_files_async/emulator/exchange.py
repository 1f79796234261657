"""One request and its reply, with the fault that it meets, if any."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from typing import TYPE_CHECKING, Any

from aiohttp import web

from domo_files_async.emulator.content import Writer
from domo_files_async.emulator.faults import CARRIERS, Fault
from domo_files_async.emulator.forms import FormParser
from domo_files_async.emulator.rules import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from domo_files_async.emulator.content import Blob
    from domo_files_async.emulator.faults import Behaviour, ReceivedRequest
    from domo_files_async.emulator.store import Store, User

__all__ = ("Exchange", "ResetError")

_LARGEST_JSON = 1024 * 1024
_ID = re.compile("-?[0-9]{1,19}")
_TICKS_A_SECOND = 20
_NO_FAULT = Fault(operation="*")


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
        self._fault = fault or _NO_FAULT
        self._has_struck = False
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

    def every(self, name: str) -> list[str]:
        """Give all values of a repeated parameter."""
        return self._request.query.getall(name, [])

    @property
    def headers(self) -> Mapping[str, str]:
        """The request's headers."""
        return self._request.headers

    def id_of(self, name: str) -> int:
        """Give a number from the path."""
        text = self.parameters[name]
        if not _ID.fullmatch(text):
            raise Refusal(400, f"{text} is no number.")
        return int(text)

    async def receive(self, limit: int | None, *, form_type: str | None = None) -> tuple[Blob, str]:
        """Keep the request's body, or of form data the field `file`.

        Args:
            limit: Bytes that it may have; `None` for any number.
            form_type: The request's content type where its body is form data.

        Returns:
            The bytes, and the content type that the form has for them, or nothing.
        """
        form = None if form_type is None else FormParser(form_type)
        if limit is not None and form is None and (self._request.content_length or 0) > limit:
            raise _too_large(limit)
        size, corrupting = 0, self._fault.corrupt
        async with Writer(self.store.vault, self.store.workers) as writer:
            async for piece in self._body():
                for data in [piece] if form is None else form.feed(piece):
                    size += len(data)
                    if limit is not None and size > limit:
                        raise _too_large(limit)
                    await writer.write(_with_a_flipped_bit(data) if corrupting else data)
                    corrupting = False
            if form is not None:
                form.finish()
            return await writer.finish(), (form and form.content_type) or ""

    async def json(self, *, empty: object = None) -> Any:
        """Read a small body as JSON; in place of none at all, *empty* if there is such."""
        pieces, size = [], 0
        async for piece in self._body():
            pieces.append(piece)
            size += len(piece)
            if size > _LARGEST_JSON:
                raise _too_large(_LARGEST_JSON)
        if not pieces and empty is not None:
            return empty
        try:
            return json.loads(b"".join(pieces))
        except (ValueError, RecursionError):
            raise Refusal(400, "The request body is no JSON.") from None

    async def drain(self) -> None:
        """Read what is left of the body, and let it fall."""
        async for _ in self._body():
            pass

    async def _body(self) -> AsyncIterator[bytes]:
        content, fault = self._request.content, self._fault
        if self.headers.get("Expect", "").lower() == "100-continue":
            await self._request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        middle = (self._request.content_length or 0) // 2
        while True:
            if fault.rate:
                piece = await content.read(max(1, int(fault.rate / _TICKS_A_SECOND)))
                await self.stand_still(len(piece) / fault.rate)
            else:
                piece = await content.readany()
            if not piece:
                break
            self.received.size += len(piece)
            if self.received.size >= middle:
                await self.strike()
            yield piece
        await self.strike()

    async def strike(self) -> None:
        """Let the fault do what it does in mid-body, once."""
        if self._has_struck:
            return
        self._has_struck = True
        if self._fault.reset == "body":
            self.reset()
        if self._fault.stall:
            await self.stand_still(self._fault.stall)

    def reply(self, value: Any) -> web.Response:
        """Answer with JSON."""
        text = json.dumps(value)
        if self._fault.corrupt and self.received.operation not in CARRIERS:
            text = text[: len(text) // 2]
        return web.Response(text=text, content_type="application/json", charset="UTF-8")

    async def send(
        self, reply: web.StreamResponse, size: int, chunks: AsyncIterator[bytes], held: list[Blob]
    ) -> web.StreamResponse:
        """Answer with a body in chunks; faults strike in the middle of it.

        Args:
            reply: Status and headers.
            size: Bytes in all.
            chunks: The bytes.
            held: What nobody may remove meanwhile.
        """
        fault, middle, sent = self._fault, size // 2, 0
        if fault.reset == "after":
            self.reset()
        self.store.hold(held)
        try:
            reply.content_length = size
            await reply.prepare(self._request)
            self.received.status = reply.status
            async for chunk in chunks:
                for piece in self._cut(chunk, middle - sent):
                    data = piece
                    if sent == middle:
                        await self.strike()
                        if fault.truncate:
                            self.hang_up()
                        data = _with_a_flipped_bit(piece) if fault.corrupt else piece
                    if fault.rate:
                        await self.stand_still(len(data) / fault.rate)
                    await reply.write(data)
                    sent += len(data)
            await self.strike()
            await reply.write_eof()
        finally:
            await self.store.release(held)
        return reply

    def _cut(self, chunk: bytes, middle: int) -> Sequence[bytes]:
        if self._fault is _NO_FAULT:
            return [chunk]
        halves = [chunk[:middle], chunk[middle:]] if 0 < middle < len(chunk) else [chunk]
        if not self._fault.rate:
            return halves
        step = max(1, int(self._fault.rate / _TICKS_A_SECOND))
        return [half[at : at + step] for half in halves for at in range(0, len(half), step)]

    async def stand_still(self, seconds: float) -> None:
        """Wait, unless the emulator closes."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return
        self.reset()

    def hang_up(self) -> None:
        """Close the connection in good order, with less said than was announced.

        Raises:
            ResetError: Always, since nobody is there any more.
        """
        if self._request.transport is not None:
            self._request.transport.close()
        raise ResetError

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


def _with_a_flipped_bit(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def _too_large(limit: int) -> Refusal:
    return Refusal(413, f"The body is too large: {limit} bytes are allowed.")
