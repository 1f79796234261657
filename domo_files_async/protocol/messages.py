"""A request and a reply as values: what goes out and what came in, without a connection.

Rule 1: a request carries the function that reads its reply.
Rule 2: targets are percent-encoded here, once; nothing encodes them again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

__all__ = ("Reply", "Request")

T = TypeVar("T")


@attrs.frozen
class Reply:
    """A whole answer.

    Attributes:
        status: The HTTP status.
        headers: Names in lower case; of a repeated header the first one.
        body: All bytes of it, or the first of them where it was too large to be an answer.
        method: Of the request that it answers.
        path: Of the request that it answers, without its query.
        came: When, by our clock; `None` where nobody looked.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    method: str
    path: str
    came: datetime | None = None


@attrs.frozen(kw_only=True)
class Request(Generic[T]):
    """What to send, and how to read what comes back.

    Attributes:
        operation: The session's method that it belongs to.
        method: The HTTP method.
        path: From the server's root, percent-encoded.
        query: Percent-encoded, without the question mark; may be empty.
        headers: Those of this request; credentials come later.
        content: The whole body where it is small and known; `None` where there is none, or where
            it is data that is handed over beside the request.
        prefix: Bytes before the data that is handed over, such as a form's head.
        suffix: Bytes after it.
        repeatable: Whether sending it twice does no more than sending it once, so that it may be
            sent again without asking what became of it.
        reader: Reads the reply: gives the value or raises the error that it means.
    """

    operation: str
    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    content: bytes | None = None
    prefix: bytes = b""
    suffix: bytes = b""
    repeatable: bool
    reader: Callable[[Reply], T] = attrs.field(repr=False)

    @property
    def target(self) -> str:
        """Path and query as the request line has them."""
        return f"{self.path}?{self.query}" if self.query else self.path
