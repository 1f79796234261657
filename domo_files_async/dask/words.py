"""What the coordinator and its workers say to each other; all of it survives pickling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from domo_files_async.bulk.carry import Flight, Made
    from domo_files_async.bulk.items import Item
    from domo_files_async.errors import DomoFilesError
    from domo_files_async.events import Event
    from domo_files_async.planning.parts import PartPlan

__all__ = (
    "Errand",
    "Failed",
    "Loaded",
    "Mail",
    "Order",
    "Partly",
    "Parts",
    "PartsSent",
    "Sent",
    "Silent",
    "State",
    "Told",
)


@attrs.frozen
class Order:
    """An item that a worker is to load, and to send once it is told to go."""

    number: int
    item: Item
    target: int | None


@attrs.frozen(kw_only=True)
class Parts:
    """Parts of an item's multipart session that a worker is to send.

    Sent twice they are the same, so that they need no leave.

    Attributes:
        number: This order's.
        item: Whose size and fingerprint the source must have.
        session_id: The multipart session.
        content_type: Of the parts.
        plan: How the item is cut.
        first: Index of the first part.
        last: Index of the last part.
    """

    number: int
    item: Item
    session_id: str
    content_type: str
    plan: PartPlan
    first: int
    last: int

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        last = self.plan.part(self.last)
        return last.offset + last.size - self.plan.part(self.first).offset


@attrs.frozen(kw_only=True)
class Mail:
    """What a worker is told.

    Attributes:
        serial: From 1, so that mail that comes late isn't obeyed.
        orders: What is to be done.
        go: Numbers of those that may be sent: the journal says that they are started.
        drop: Numbers of those that are wanted no more.
        share: Requests in flight that it may have.
        rate: Bytes a second that it may send for each of them; `None` for no cap.
        silence: Seconds in which it sends nothing, since the server asked for them.
        lease: Seconds after *heard* in which it may begin something.
        heard: The worker's clock in its last answer that was heard; `None` before the first one.
    """

    serial: int
    orders: tuple[Order | Parts, ...] = ()
    go: tuple[int, ...] = ()
    drop: tuple[int, ...] = ()
    share: int
    rate: float | None = None
    silence: float = 0.0
    lease: float
    heard: float | None = None


@attrs.frozen
class State:
    """What a worker answers to its mail.

    Attributes:
        desk: Which one it is: another one knows nothing of what this one was told.
        at: The worker's clock.
        share: Requests that it may have in flight from now on at most.
    """

    desk: str
    at: float
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
class PartsSent:
    """Parts are there, and how many attempts that took."""

    number: int
    attempts: int


@attrs.frozen
class Failed:
    """An item, or one of its parts, failed."""

    number: int
    error: DomoFilesError


@attrs.frozen
class Silent:
    """The server asked to be left alone."""

    seconds: float


Errand = Loaded | Partly | Sent | PartsSent | Failed | Silent
"""What a worker tells."""


@attrs.frozen
class Told:
    """What a worker has to tell.

    Attributes:
        desk: See `State`.
        at: See `State`.
        errands: What came of its orders.
        events: What its session did, for those who look on.
    """

    desk: str
    at: float
    errands: tuple[Errand, ...]
    events: tuple[Event, ...]
