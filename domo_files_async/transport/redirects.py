"""Whether a redirect is followed, and what it means where it isn't.

Rule 1: only what has no body is followed, and within its own origin.
Rule 2: a download may go on at another origin, which gets no credential.
Rule 3: nothing goes from https to http.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from yarl import URL

from domo_files_async.errors import AuthenticationError, UnexpectedResponseError

if TYPE_CHECKING:
    from domo_files_async.protocol.messages import Request

__all__ = ("MAX_REDIRECTS", "REDIRECTS", "follow_redirect")

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5

_LOGIN_WORD = re.compile(
    r"(log-?in|sign-?in|sso|saml2?|auth|oauth2?|authorize)(\.(html?|jsp|php|aspx?))?", re.IGNORECASE
)


def follow_redirect(request: Request[Any], status: int, url: URL, location: str | None) -> URL:
    """Decide where a redirected request goes on.

    Args:
        request: What was sent.
        status: The redirect's status.
        url: Where it was sent.
        location: The redirect's target as the server gave it; `None` where it didn't.

    Returns:
        Where to send it next.

    Raises:
        AuthenticationError: The target is a login page.
        UnexpectedResponseError: It mustn't be followed; the message names the target's host.
    """
    target = _target(url, location)
    if target is None:
        raise _refused(request, status, "a redirect to nowhere")
    near = target.origin() == url.origin()
    is_download = request.operation == "open_download"
    if _is_login(target, with_query=near or not is_download):
        raise AuthenticationError(
            f"redirected to the login page {target.raw_host}{target.raw_path}",
            status=status,
            method=request.method,
            path=request.path,
        )
    where = f"a redirect to {target.scheme}://{target.raw_host}{target.raw_path}"
    if url.scheme == "https" and target.scheme == "http":
        raise _refused(request, status, f"{where}, which isn't encrypted, and isn't followed")
    if not near and not is_download:
        raise _refused(request, status, f"{where}, another origin, where nothing was sent")
    if request.method not in {"GET", "HEAD"}:
        raise _refused(
            request, status, f"{where}, which is followed only by what reads, not by what writes"
        )
    return target


def _target(url: URL, location: str | None) -> URL | None:
    try:
        target = url.join(URL(location or "", encoded=True)) if location else None
    except ValueError:
        return None
    if target is None or target.scheme not in {"http", "https"} or not target.raw_host:
        return None
    return target.with_fragment(None)


def _is_login(target: URL, *, with_query: bool) -> bool:
    words = target.raw_path.split("/")
    if with_query:
        words += re.split(r"[^A-Za-z-]+", target.raw_query_string)
    return any(_LOGIN_WORD.fullmatch(word) for word in words)


def _refused(request: Request[Any], status: int, problem: str) -> UnexpectedResponseError:
    return UnexpectedResponseError(problem, status=status, method=request.method, path=request.path)
