"""Who holds what is in a journal: a lock of the system's, which ends with the process.

Each opened journal locks a small file of its own beside the journal, whose name it writes into
the rows that it works on. A row whose owner's file isn't locked any more is free at once.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ("Owner", "forget_dead_owners", "is_alive")

_TRIES = 100

if sys.platform == "win32":
    import msvcrt

    def _try_lock(fd: int, *, alone: bool) -> bool:  # noqa: ARG001 - there is one kind only
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(fd: int, *, alone: bool) -> bool:
        try:
            fcntl.flock(fd, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class Owner:
    """One opened journal's lock.

    Args:
        journal: The journal's path.

    Attributes:
        token: Its name, unlike any other's.

    Raises:
        OSError: Nothing can be written there.
    """

    def __init__(self, journal: Path) -> None:
        for _ in range(_TRIES):
            self.token = secrets.token_hex(8)
            self._path = _path(journal, self.token)
            self._fd: int | None = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
            if _try_lock(self._fd, alone=True) and self._is_in_place(self._fd):
                _owners.add(self)
                return
            # Somebody who clears up took it for a dead one's in the moment before it was locked.
            os.close(self._fd)
        raise OSError(f"{journal} can't be locked")

    def close(self) -> None:
        """Let go; a second time does nothing."""
        fd, self._fd = self._fd, None
        if fd is not None:
            if sys.platform == "win32":  # an open file can't be removed there
                os.close(fd)
                self._remove()
            else:
                self._remove()
                os.close(fd)

    def leave_to_parent(self) -> None:
        """Close what a forked child has got, so that the lock ends with its owner."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _is_in_place(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.fstat(fd), self._path.stat())
        except FileNotFoundError:
            return False


_owners: weakref.WeakSet[Owner] = weakref.WeakSet()


def _forked() -> None:
    for owner in list(_owners):
        owner.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def is_alive(journal: Path, token: str) -> bool:
    """Say whether the owner with this token still has the journal open."""
    return not _free(_path(journal, token), remove=False)


def forget_dead_owners(journal: Path) -> None:
    """Remove the lock files that killed processes left."""
    for path in journal.parent.iterdir():
        if path.name.startswith(f"{journal.name}-owner-"):
            _free(path, remove=True)


def _path(journal: Path, token: str) -> Path:
    return journal.with_name(f"{journal.name}-owner-{token}")


def _free(path: Path, *, remove: bool) -> bool:
    """Say whether nobody holds the lock; if so and asked for, remove the file while it is held."""
    try:
        fd = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        # Two who ask at the same time mustn't take each other for the owner.
        is_free = _try_lock(fd, alone=False)
        if is_free and remove:
            with contextlib.suppress(OSError):
                path.unlink()
        return is_free
    finally:
        os.close(fd)
