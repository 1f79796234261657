"""What a request's conditions and its range ask for. Pure: headers in, a decision out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.datastructures import Headers

__all__ = ("read_range", "refusal")

_ETAG = re.compile(r'(?:W/)?"[^"]*"')
_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,19})-(\d{0,19})\s*", re.IGNORECASE)


def refusal(headers: Headers, etag: str) -> Literal[304, 412] | None:
    """Say with which status a GET of what has *etag* is answered in place of it, if any.

    Source: RFC 9110, sections 13.1.1, 13.1.2 and 13.2.2.
    """
    # Such a list may come in several lines, as proxies write it.
    wanted = headers.getlist("if-match")
    if wanted and not _names(",".join(wanted), etag):
        return 412
    known = ",".join(headers.getlist("if-none-match"))
    if _names(known.replace("W/", ""), etag):
        return 304
    return None


def read_range(
    headers: Mapping[str, str], etag: str, size: int
) -> tuple[int, int] | Literal["whole", "unsatisfiable"]:
    """Say which bytes are asked for: the first one, and the one after the last.

    Several ranges at once, and what is no range, are answered with the whole.

    Source: RFC 9110, sections 13.1.5, 14.1.2 and 14.2.
    """
    match = _RANGE.fullmatch(headers.get("range", ""))
    if match is None or headers.get("if-range", etag) != etag:
        return "whole"
    first, last = match.groups()
    if not first:
        if not last:
            return "whole"
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return "whole"
    return (start, stop) if start < stop else "unsatisfiable"


def _names(listed: str, etag: str) -> bool:
    return listed.strip() == "*" or etag in _ETAG.findall(listed)
