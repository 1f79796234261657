"""Credentials, and how a request gets them; they never show, whatever is printed.

Rule 1: a credential leaves this module only as a header of a request.
Rule 2: what can't be a header's value is refused without being shown.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, NoReturn, Protocol, runtime_checkable

from domo_files_async.config import Surface
from domo_files_async.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ("AppSession", "Auth", "DeveloperToken", "is_header_name")

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@runtime_checkable
class Auth(Protocol):
    """What a session asks for credentials.

    An attribute `surface` (a `Surface`) says which surface the credential is for; without it
    that is the product surface.
    """

    async def headers(self) -> Mapping[str, str]:
        """Give the headers that carry the credential."""
        ...

    async def refresh(self) -> bool:
        """Look for a new credential; asked once after a 401, by one caller for all.

        Returns:
            Whether there is a new one to try.
        """
        ...


class _HeaderCredential:
    """A secret, or where to get it, and the header that carries it."""

    __slots__ = ("_header", "_provider", "_value")

    def __init__(
        self, secret: str | Callable[[], str | Awaitable[str]], header: str, what: str
    ) -> None:
        if not is_header_name(header):
            raise InvalidArgumentError(f"{header!r} can't be the name of the credential's header")
        self._header = header
        self._provider = secret if callable(secret) else None
        self._value = None if callable(secret) else _checked(secret, what)

    async def headers(self) -> Mapping[str, str]:
        """Give the header that carries the credential; a callable is asked the first time."""
        if self._value is None:
            self._value = await self._ask()
        return {self._header: self._value}

    async def refresh(self) -> bool:
        """Ask a callable again.

        Returns:
            Whether it gave something new; a plain string never does.
        """
        if self._provider is None:
            return False
        old, self._value = self._value, await self._ask()
        return self._value != old

    async def _ask(self) -> str:
        assert self._provider is not None
        answer = self._provider()
        return _checked(
            await answer if inspect.isawaitable(answer) else answer, "the credential's callable"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} holds a credential and isn't pickled: "
            "make it where it is used, from the environment or a callable"
        )


class DeveloperToken(_HeaderCredential):
    """An access token made in the instance's admin pages; for the product surface.

    Args:
        token: The token, or a plain or async callable that gives it: asked before the first
            request and once after each 401.

    Raises:
        InvalidArgumentError: The token is empty or holds what no header can.
    """

    __slots__ = ()
    surface = Surface.PRODUCT

    def __init__(self, token: str | Callable[[], str | Awaitable[str]]) -> None:
        super().__init__(token, "X-DOMO-Developer-Token", "the developer token")


class AppSession(_HeaderCredential):
    """The credential of a Domo app; for the app surface.

    Args:
        session_id: The credential, or a plain or async callable that gives it: asked before
            the first request and once after each 401.
        header: The header that carries it; older toolkits send `X-DOMO-Ryuu-Token`.

    Raises:
        InvalidArgumentError: It is empty or holds what no header can.
    """

    __slots__ = ()
    surface = Surface.APP

    def __init__(
        self,
        session_id: str | Callable[[], str | Awaitable[str]],
        *,
        header: str = "X-DOMO-Ryuu-Session",
    ) -> None:
        super().__init__(session_id, header, "the app session credential")


def _checked(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{what} must give a string, not {type(value).__name__}")
    if not value:
        raise InvalidArgumentError(f"{what} is empty")
    if not value.isascii() or not value.isprintable() or value != value.strip():
        raise InvalidArgumentError(
            f"{what} holds spaces at an end, a line break or another character that no header "
            "can carry (its value isn't shown here); was it copied with its line's end?"
        )
    return value


def is_header_name(name: object) -> bool:
    """Say whether a header can be called so.

    Source: RFC 9110, section 5.6.2.
    """
    return isinstance(name, str) and _HEADER_NAME.fullmatch(name) is not None
