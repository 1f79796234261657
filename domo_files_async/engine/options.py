"""What a session is made with: checked when it is made, before anything is opened or sent."""

from __future__ import annotations

import ssl as tls
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from domo_files_async.auth import Auth
from domo_files_async.config import RetryPolicy, Surface, Timeouts, TransferConfig
from domo_files_async.errors import InvalidArgumentError
from domo_files_async.protocol.arguments import checked_flag, checked_function
from domo_files_async.transport.tls import TlsContext
from domo_files_async.transport.wire import HttpClient

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("check_options",)

_KINDS: Mapping[str, type] = {
    "surface": Surface,
    "transfer": TransferConfig,
    "retry": RetryPolicy,
    "timeouts": Timeouts,
    "http": HttpClient,
    "auth.surface": Surface,
}
_OPTIONAL = frozenset({"surface", "http", "auth.surface"})
_FLAGS = ("trust_env", "allow_insecure")


def check_options(options: Mapping[str, object]) -> None:
    """Check a session's keywords, all of them; none of their values is shown.

    Raises:
        InvalidArgumentError: One of them can't be right.
    """
    auth = options["auth"]
    if isinstance(auth, type) or not isinstance(auth, Auth):
        raise InvalidArgumentError(
            "auth must be DeveloperToken(…), AppSession(…) or another object with the coroutines "
            f"headers and refresh, not {_kind(auth)}"
        )
    given = {**options, "auth.surface": getattr(auth, "surface", None)}
    for name, kind in _KINDS.items():
        value = given[name]
        if not isinstance(value, kind) and (value is not None or name not in _OPTIONAL):
            raise InvalidArgumentError(f"{name} must be a {kind.__name__}, not {_kind(value)}")
    for name in _FLAGS:
        checked_flag(name, options[name])
    checked_function("observer", options["observer"])
    _check_agent(options["user_agent"])
    _check_proxy(options["proxy"])
    _check_tls(options)


def _check_tls(options: Mapping[str, object]) -> None:
    given = options["ssl"]
    if isinstance(given, tls.SSLContext | None):
        return
    if isinstance(given, type) or not isinstance(given, TlsContext):
        raise InvalidArgumentError(
            f"ssl must be an ssl.SSLContext or an OpenSSLContext, not {given!r}: certificates are "
            "always verified; to trust one of your own, load it into a context"
        )
    for other in ("http", "proxy", "trust_env"):
        if options[other]:
            raise InvalidArgumentError(
                f"An OpenSSLContext can't be used with {other}: connections that aiohttp encrypts "
                "take an ssl.SSLContext"
            )


def _check_agent(user_agent: object) -> None:
    if user_agent is None:
        return
    good = isinstance(user_agent, str) and user_agent.isascii() and user_agent.isprintable()
    if not good or not str(user_agent).strip():
        raise InvalidArgumentError(
            f"user_agent must be a text that a header can carry, not {user_agent!r}"
        )


def _check_proxy(proxy: object) -> None:
    if proxy is None:
        return
    try:
        parts = urlsplit(str(proxy))
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        # It may hold a password, so that it isn't shown.
        raise InvalidArgumentError("proxy must be a URL such as http://proxy.example:3128")


def _kind(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
