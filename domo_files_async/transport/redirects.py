"""Whether a redirect is followed, and what it means where it isn't.

Rule 1: only what has no body is followed, and within its own origin.
Rule 2: a download may go on at another origin, which gets no credential.
Rule 3: nothing goes from https to http, nor to an address that holds the credential.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from yarl import URL

from domo_files_async.errors import AuthenticationError, UnexpectedResponseError

if TYPE_CHECKING:
    from domo_files_async.protocol.messages import Request
    from domo_files_async.transport.credentials import Credential

__all__ = ("MAX_REDIRECTS", "REDIRECTS", "follow_redirect", "is_same_origin")

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 5

_LOGIN_WORD = re.compile(
    r"(log-?in|sign-?in|sso|saml2?|auth|oauth2?|authorize)(\.(html?|jsp|php|aspx?))?", re.IGNORECASE
)


def follow_redirect(
    request: Request[Any], status: int, url: URL, location: str | None, credential: Credential
) -> URL:
    """Decide where a redirected request goes on.

    Args:
        request: What was sent.
        status: The redirect's status.
        url: Where it was sent.
        location: The redirect's target as the server gave it; `None` where it didn't.
        credential: The one in use, masked wherever the target repeats it.

    Returns:
        Where to send it next.

    Raises:
        AuthenticationError: The target is a login page.
        UnexpectedResponseError: It mustn't be followed; the message names the target's host.
    """
    target = _target(url, location)
    if target is None:
        raise _refused(request, status, "a redirect to nowhere")
    near = is_same_origin(target, url)
    is_download = request.operation == "open_download"
    shown = credential.hide(f"{target.scheme}://{target.raw_authority}{target.raw_path}")
    if _is_login(target, is_far_download=is_download and not near):
        raise AuthenticationError(
            f"a redirect to the login page {shown}",
            status=status,
            method=request.method,
            path=request.path,
        )
    if url.scheme == "https" and target.scheme == "http":
        problem = "which isn't encrypted: nothing was sent there"
    elif not near and not is_download:
        problem = "another origin: nothing was sent there"
    elif credential.hide(str(target)) != str(target):
        problem = "with the credential in it: it isn't followed"
    elif request.method not in {"GET", "HEAD"}:
        problem = "which is followed only by what reads, not by what writes"
    else:
        return target
    raise _refused(request, status, f"a redirect to {shown}, {problem}")


def is_same_origin(one: URL, other: URL) -> bool:
    """Say whether two addresses have scheme, host and port in common."""
    return _origin(one) == _origin(other)


def _origin(url: URL) -> tuple[str, str, int | None]:
    return url.scheme.lower(), (url.raw_host or "").lower(), url.port


def _target(url: URL, location: str | None) -> URL | None:
    try:
        target = url.join(URL(location or "", encoded=True)) if location else None
    except ValueError:
        return None
    if target is None or target.scheme not in {"http", "https"} or not target.raw_host:
        return None
    return target.with_user(None).with_fragment(None)


def _is_login(target: URL, *, is_far_download: bool) -> bool:
    words = target.raw_path.split("/")
    if is_far_download:
        # Folders and queries of a store's addresses may hold any words.
        return _LOGIN_WORD.fullmatch(words[-1]) is not None
    words += re.split(r"[^A-Za-z-]+", target.raw_query_string)
    return any(_LOGIN_WORD.fullmatch(word) for word in words)


def _refused(request: Request[Any], status: int, problem: str) -> UnexpectedResponseError:
    return UnexpectedResponseError(problem, status=status, method=request.method, path=request.path)
