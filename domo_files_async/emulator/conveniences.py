"""What reaches from the emulator back to the client: its credentials and its sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domo_files_async.auth import AppSession, DeveloperToken
from domo_files_async.config import Surface
from domo_files_async.errors import InvalidArgumentError
from domo_files_async.session import DomoFilesSession

if TYPE_CHECKING:
    from domo_files_async.auth import Auth

__all__ = ("make_auth", "make_session")


def make_auth(credential: str, surface: Surface | None) -> Auth:
    """Make the credential of a user for a surface."""
    if not isinstance(surface, Surface | None):
        raise InvalidArgumentError(f"surface must be a Surface, not {surface!r}")
    return AppSession(credential) if surface is Surface.APP else DeveloperToken(credential)


def make_session(
    url: str, credential: str, surface: Surface | None, **options: Any
) -> DomoFilesSession:
    """Make a session of a user."""
    return DomoFilesSession(url, auth=make_auth(credential, surface), **options)
