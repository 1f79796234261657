"""Headers that mean something: read leniently, with no clock of our own."""

from __future__ import annotations

import functools
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = (
    "ContentRange",
    "merge_headers",
    "read_content_disposition",
    "read_content_range",
    "read_date",
    "read_retry_after",
    "write_head",
)

_CONTENT_RANGE = re.compile(r"\s*bytes\s+(\d{1,19})-(\d{1,19})/(\d{1,19}|\*)\s*$", re.IGNORECASE)
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_PARAMETER = re.compile(r';\s*([\w!#$%&\'*+.^`|~-]+)\s*=\s*("(?:[^"\\]|\\.)*"?|[^;]*)')
_LONGEST = 1e9
"""Seconds that a server may ask to wait: any number of digits may come."""


@attrs.frozen
class ContentRange:
    """Which bytes a reply carries.

    Attributes:
        start: Offset of the first one.
        stop: Offset after the last one.
        total: Bytes of the whole; `None` where the server doesn't say.
    """

    start: int
    stop: int
    total: int | None


def merge_headers(*given: Mapping[str, str]) -> dict[str, str]:
    """Put headers together; of those with one name, whatever its letters' case, the last counts."""
    merged = {name.lower(): (name, value) for one in given for name, value in one.items()}
    return dict(merged.values())


def write_head(method: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Write a request's head.

    Args:
        method: The HTTP method.
        target: Path and query, percent-encoded.
        headers: Names and values.

    Raises:
        ValueError: Something would end its line before its end, or can't be sent at all.

    Source: RFC 9112, section 2.1.
    """
    lines = [f"{method} {target} HTTP/1.1", *[f"{name}: {value}" for name, value in headers]]
    for line in lines:
        if _UNSENDABLE.search(line):
            raise ValueError(f"{line.partition(':')[0]!r} holds a control character")
    return "\r\n".join((*lines, "\r\n")).encode()


@functools.lru_cache(maxsize=64)  # a thousand replies of one second have the same
def read_date(text: str | None) -> datetime | None:
    """Read an HTTP date; `None` for what is none.

    Source: RFC 9110, section 5.6.7.
    """
    if text is None:
        return None
    try:
        read = parsedate_to_datetime(text)
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def read_retry_after(headers: Mapping[str, str], came: datetime | None = None) -> float | None:
    """Read how many seconds a server asks to wait; a date counts from the reply's own Date.

    Args:
        headers: The reply's.
        came: When it came, by our clock: counts where it has no Date.

    Source: RFC 9110, section 10.2.3.
    """
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        return min(_LONGEST, max(0.0, float(text)))
    until, now = read_date(text), read_date(headers.get("date")) or came
    if until is None or now is None:
        return None
    return max(0.0, (until - now).total_seconds())


def read_content_range(text: str | None) -> ContentRange | None:
    """Read which bytes a 206 carries; `None` for what isn't one range of bytes.

    Source: RFC 9110, section 14.4.
    """
    match = _CONTENT_RANGE.match(text or "")
    if match is None:
        return None
    first, last, total = match.groups()
    whole = None if total == "*" else int(total)
    if int(last) < int(first) or (whole is not None and int(last) >= whole):
        return None
    return ContentRange(int(first), int(last) + 1, whole)


def read_content_disposition(text: str | None) -> str | None:
    """Read the file name that a server suggests, as it is; `None` where there is none.

    Source: RFC 6266, section 4.3; RFC 8187.
    """
    parameters = {name.lower(): value for name, value in _PARAMETER.findall(f";{text or ''}")}
    extended = parameters.get("filename*", "").strip().strip('"')
    charset, mark, encoded = extended.partition("'")
    if mark:
        name = _decoded(unquote_to_bytes(_recovered(encoded.partition("'")[2])), charset)
        if name:
            return name
    plain = parameters.get("filename", "").strip()
    if plain.startswith('"'):
        plain = re.sub(r"\\(.)", r"\1", plain[1:].removesuffix('"'))
    return _recovered(plain) or None


def _decoded(raw: bytes, charset: str) -> str | None:
    try:
        return raw.decode(charset or "utf-8")
    except (LookupError, UnicodeDecodeError, ValueError):
        return raw.decode("utf-8", "replace")


def _recovered(text: str) -> str:
    # Header bytes arrive as latin-1 or with surrogates; most servers mean UTF-8.
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        return text.encode("utf-8", "replace").decode("utf-8")
