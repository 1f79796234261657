"""Several observers of one session: the caller's own, and those of jobs that run on it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from domo_files_async.events import notify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domo_files_async.events import Event, Observer

__all__ = ("Observers",)


class Observers:
    """Several observers in the place of one.

    Args:
        first: The one that is there from the beginning, if any.
    """

    def __init__(self, first: Observer | None = None) -> None:
        self._observers: tuple[Observer, ...] = () if first is None else (first,)

    def __call__(self, event: Event) -> None:
        """Tell all of them."""
        for observer in self._observers:
            notify(observer, event)

    @contextmanager
    def joined(self, observer: Observer) -> Iterator[None]:
        """Tell *observer*, too, for as long as a `with` lasts."""
        self._observers = (*self._observers, observer)
        try:
            yield
        finally:
            left = list(self._observers)
            left.remove(observer)
            self._observers = tuple(left)
