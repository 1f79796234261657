"""What the coordinator and its workers say to each other; all of it survives pickling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from domo_files_async.bulk.carry import Flight, Made
    from domo_files_async.bulk.items import Item
    from domo_files_async.errors import DomoFilesError

__all__ = ("Errand", "Failed", "Loaded", "Mail", "Order", "Partly", "Sent", "Silent", "State")


@attrs.frozen
class Order:
    """An item that a worker is to load, and to send once it is told to go."""

    number: int
    item: Item
    target: int | None


@attrs.frozen(kw_only=True)
class Mail:
    """What a worker is told.

    Attributes:
        orders: Items to load.
        go: Numbers of those that may be sent: the journal says that they are started.
        drop: Numbers of those that are wanted no more.
        share: Requests in flight that it may have.
        rate: Bytes a second that it may send.
        silence: Seconds in which it sends nothing, since the server asked for them.
        lease: Seconds from now in which it may begin to send something.
    """

    orders: tuple[Order, ...] = ()
    go: tuple[int, ...] = ()
    drop: tuple[int, ...] = ()
    share: int
    rate: float | None = None
    silence: float = 0.0
    lease: float


@attrs.frozen
class State:
    """What a worker answers: the requests that it may have in flight from now on at most."""

    share: int


@attrs.frozen
class Loaded:
    """An item is loaded, and waits for leave to be sent."""

    number: int
    flight: Flight


@attrs.frozen
class Partly:
    """An item is there, but for its access."""

    number: int
    made: Made


@attrs.frozen
class Sent:
    """An item is there."""

    number: int
    made: Made


@attrs.frozen
class Failed:
    """An item failed."""

    number: int
    error: DomoFilesError


@attrs.frozen
class Silent:
    """The server asked to be left alone."""

    seconds: float


Errand = Loaded | Partly | Sent | Failed | Silent
"""What a worker tells."""
