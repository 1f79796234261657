"""TLS over a connection of the loop's, where a thread may encrypt and send what is long.

asyncio's own TLS keeps a quarter of a MiB for each connection, and encrypts on the loop only. All
of the protocol and its proofs is OpenSSL's: as the standard library has it, or as the caller's
context does.

Rule 1: its state is touched by the loop, or by the thread that it is lent to, never by both. What
arrives meanwhile is put aside, and asks for it back.
Rule 2: nobody waits for the other side's farewell: HTTP says where an answer ends, and RFC 8446
(6.1) asks for no more.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("RECORDS", "Conversation", "TlsContext", "TlsTransport", "default_context")

RECORDS: Final = 7 * 16 * 1024
"""Bytes that are encrypted in one go: whole records, and less than what allocators ask the system
for each time anew."""


def default_context() -> ssl.SSLContext:
    """Make a context that trusts whom the system trusts; reads its files."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


class Conversation(Protocol):
    """What one side of a TLS connection says and understands, in memory.

    Its methods raise `ssl.SSLWantReadError` where the other side has to say something first, and
    other kinds of `ssl.SSLError` where it can't go on.

    Attributes:
        ssl_object: That of the standard library, if it is one.
    """

    ssl_object: ssl.SSLObject | None

    def shake(self) -> None:
        """Go on with the handshake; returns when the keys and whose they are is certain."""
        ...

    def arrive(self, data: memoryview | bytes | bytearray, /) -> object:
        """Take encrypted bytes that arrived."""
        ...

    def leave(self) -> bytes:
        """Give the encrypted bytes that are to be sent."""
        ...

    def encrypt(self, data: memoryview, /) -> int:
        """Have *data* leave encrypted, all of it; give its length."""
        ...

    def decrypt(self, view: memoryview) -> int:
        """Decrypt into *view*; give how much, or 0 at the end."""
        ...

    def say_farewell(self) -> None:
        """Have the other side told that no more is said."""
        ...


@runtime_checkable
class TlsContext(Protocol):
    """What makes conversations, in place of an `ssl.SSLContext`."""

    def begin(self, host: str) -> Conversation:
        """Begin to talk to a server whose certificate has to have the name *host*."""
        ...


class _StandardConversation:
    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        arriving, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(arriving, leaving, server_hostname=host)
        self.ssl_object: ssl.SSLObject | None = tls
        self.arrive, self.leave = arriving.write, leaving.read
        self.shake, self.say_farewell = tls.do_handshake, tls.unwrap
        self.encrypt = tls.write
        # The types of the standard library know of no view there.
        self._read: Callable[[int, memoryview], int] = tls.read  # type: ignore[assignment]

    def decrypt(self, view: memoryview) -> int:
        return self._read(len(view), view)


class TlsTransport(asyncio.Transport, asyncio.BufferedProtocol):
    """A transport to the protocol above, and a protocol to the transport below.

    Args:
        below: A connection on which nothing was said yet.
        above: Whom it serves.
        context: Of the connection.
        host: The server's name, which its certificate has to have.
        memory: Where bytes arrive; used within a call only, so that all connections of a loop may
            share it.

    Attributes:
        is_lent: Whether a thread encrypts.
        is_slow: Whether a thread waited in vain for it to take more.
    """

    def __init__(
        self,
        below: asyncio.Transport,
        above: asyncio.BaseProtocol,
        context: ssl.SSLContext | TlsContext,
        *,
        host: str,
        memory: memoryview,
    ) -> None:
        super().__init__()
        self._below = below
        self._memory = memory
        self._context = context
        self._tls: Conversation
        if isinstance(context, ssl.SSLContext):
            self._tls = _StandardConversation(context, host)
        else:
            self._tls = context.begin(host)
        self._shaken: asyncio.Future[None] | None = asyncio.get_running_loop().create_future()
        self._backlog = bytearray()
        self._early = bytearray()
        self._failure: Exception | None = None
        self._is_below_full = self._is_above_told = False
        self._is_paused = self._is_ended = self._is_closing = self._is_lost = False
        self.is_lent = self.is_slow = False
        self.set_protocol(above)
        below.set_protocol(self)

    async def handshake(self) -> None:
        """Agree on keys, and see that the server is who it should be.

        Raises:
            OSError: It isn't, it speaks no TLS, or the connection is lost.
        """
        assert self._shaken is not None
        shaken = self._shaken
        self._shake()
        await shaken

    def _shake(self) -> None:
        failure = None
        try:
            self._tls.shake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            failure = error
        self._flush()
        self._end_handshake(failure)
        if failure is not None:
            # Nothing is heard from whom nobody trusts, though keys may have been agreed on.
            self._is_closing = True
            self._below.close()

    def _end_handshake(self, failure: Exception | None) -> None:
        shaken, self._shaken = self._shaken, None
        if shaken is None or shaken.done():
            return
        if failure is None:
            shaken.set_result(None)
        else:
            shaken.set_exception(failure)

    # What the transport below calls.

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - it says nothing
        """Lend memory for what arrives."""
        return self._memory

    def buffer_updated(self, nbytes: int) -> None:
        """Take what arrived."""
        if self.is_lent:
            self._early += self._memory[:nbytes]
        else:
            self._tls.arrive(self._memory[:nbytes])
            self._go_on()

    def eof_received(self) -> bool:
        """Take note that no more arrives; the connection is closed when all was passed on."""
        self._is_ended = True
        if not self.is_lent:
            self._go_on()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on, after what arrived before."""
        self._is_lost, self._failure = True, self._failure or exc
        if not self.is_lent:
            self._end()

    def _end(self) -> None:
        self._is_closing = True
        self._backlog.clear()
        lost = ConnectionResetError("It was closed in the TLS handshake")
        self._end_handshake(self._failure or lost)
        self._above.connection_lost(self._failure)

    def pause_writing(self) -> None:
        """Pass it on."""
        self._is_below_full = True
        self._tell_above()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._is_below_full = False
        self._tell_above()

    # What the protocol above calls.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Give what is known of the connection."""
        match name:
            case "sslcontext":
                return self._context
            case "ssl_object":
                return self._tls.ssl_object
            case _:
                return self._below.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Serve another one from now on."""
        self._above: Any = protocol
        self._is_above_buffered = isinstance(protocol, asyncio.BufferedProtocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Give the one that is served."""
        above: asyncio.BaseProtocol = self._above
        return above

    def is_closing(self) -> bool:
        """Whether it takes nothing any more."""
        return self._is_closing or self._below.is_closing()

    def close(self) -> None:
        """Say farewell, and close it when all was sent."""
        if self.is_lent:
            self.abort()
        elif not self._is_closing:
            self._is_closing = True
            with suppress(ssl.SSLError):
                self._tls.say_farewell()
            self._flush()
            self._below.close()

    def abort(self) -> None:
        """Drop it with all that wasn't sent."""
        self._is_closing = True
        self._below.abort()

    def is_reading(self) -> bool:
        """Whether what arrives is passed on."""
        return not self._is_paused and not self.is_closing()

    def pause_reading(self) -> None:
        """Pass nothing on."""
        self._is_paused = True
        self._below.pause_reading()

    def resume_reading(self) -> None:
        """Pass on what arrives, and what did meanwhile."""
        self._is_paused = False
        self._below.resume_reading()
        asyncio.get_running_loop().call_soon(self._go_on)

    def get_write_buffer_size(self) -> int:
        """Count the bytes that the system hasn't taken."""
        return self._below.get_write_buffer_size() + len(self._backlog)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Give the low and the high mark."""
        return self._below.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks at which writing is paused and resumed."""
        self._below.set_write_buffer_limits(high=high, low=low)

    def can_write_eof(self) -> bool:
        """Whether one direction can be ended alone."""
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send *data*."""
        if self._is_closing:
            return
        if self._backlog:
            self._backlog += data
            return
        try:
            self._encrypt(memoryview(data))
        except ssl.SSLWantReadError:
            # It is agreeing on new keys: what it says next must be heard first.
            self._backlog += data
            self._tell_above()
        except ssl.SSLError as error:
            self._fail(error)

    def _encrypt(self, data: memoryview) -> None:
        self._tls.encrypt(data)
        self._flush()

    def _flush(self) -> None:
        if leaving := self._tls.leave():
            self._below.write(leaving)

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self._flush()
        self.abort()

    def _tell_above(self) -> None:
        is_full = self._is_below_full or bool(self._backlog)
        if is_full != self._is_above_told:
            self._is_above_told = is_full
            if is_full:
                self._above.pause_writing()
            else:
                self._above.resume_writing()

    def _go_on(self) -> None:
        if self._shaken is not None:
            self._shake()
        if self._shaken is not None and self._is_ended:
            self.abort()
        if self._shaken is not None or self.is_lent or self._is_closing:
            return
        try:
            is_all = self._pass_on()
            self._flush()
            self._write_backlog()
        except ssl.SSLError as error:
            self._fail(error)
            return
        if self._is_ended and is_all and not self._is_closing:
            self._above.eof_received()
            self.close()

    def _pass_on(self) -> bool:
        """Pass on what can be decrypted; say whether nothing of it is left."""
        while not self._is_paused and not self._is_closing:
            view = self._above.get_buffer(-1) if self._is_above_buffered else self._memory
            count = self._decrypt(view)
            if count and self._is_above_buffered:
                self._above.buffer_updated(count)
            elif count:
                self._above.data_received(bytes(view[:count]))
            if count < len(view):
                return True
        return False

    def _decrypt(self, view: memoryview) -> int:
        count = 0
        with suppress(ssl.SSLWantReadError):
            while count < len(view):
                step = self._tls.decrypt(view[count:])
                if not step:
                    self._is_ended = True
                    break
                count += step
        return count

    def _write_backlog(self) -> None:
        if self._backlog and not self._is_closing:
            with suppress(ssl.SSLWantReadError):
                self._encrypt(memoryview(bytes(self._backlog)))
                self._backlog.clear()
                self._tell_above()

    # What whoever it is lent to calls, in a thread.

    @property
    def is_wanted(self) -> bool:
        """Whether there is something to do on it that can't be done while it is lent."""
        return bool(self._early) or self._is_ended or self._is_lost or self._is_closing

    def encrypt_lent(self, view: memoryview) -> tuple[int, bytes]:
        """Encrypt in the thread that it is lent to; give how much of *view*, and what became of it.

        Raises:
            ssl.SSLError: It can't be done, or not before something arrived.
        """
        return self._tls.encrypt(view), self._tls.leave()

    def arrive_lent(self, data: memoryview) -> None:
        """Take what the thread received that it is lent to."""
        self._tls.arrive(data)

    def decrypt_lent(self, view: memoryview) -> int:
        """Decrypt in the thread that it is lent to; give how much that was, if any.

        Raises:
            ssl.SSLError: It can't be done.
        """
        return self._decrypt(view)

    # What the loop calls, to which it comes back.

    def take_back(self, unsent: memoryview) -> None:
        """Go on where a thread ended, which encrypted *unsent* and didn't send it."""
        self.is_lent = False
        if not (self._is_closing or self._is_lost):
            if unsent:
                self._below.write(unsent)
            self._flush()
        if self._early or self._is_ended:
            self._tls.arrive(self._early)
            self._early.clear()
            self._go_on()
        if self._is_lost:
            self._end()
