"""What can be set, with its default; every value is checked when it is made.

Sizes are bytes, times are seconds.
"""

from __future__ import annotations

import enum
import math
import sys
from typing import TYPE_CHECKING, Any

import attrs

from domo_files_async.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("MAX_PARTS", "MIB", "RetryPolicy", "Surface", "Timeouts", "TransferConfig")

MIB = 1024 * 1024

MAX_PARTS = 10_000
"""Most parts of one multipart session, with indexes from 1; the API's limit."""


class Surface(enum.Enum):
    """One of the two ways into the Files API."""

    APP = "app"
    """Beside a Domo app, or through the app dev proxy: `/domo/data-files/v1`."""

    PRODUCT = "product"
    """For services with an access token: `/api/data/v1/data-files`."""


def _whole(*, minimum: int) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    def check(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise InvalidArgumentError(
                f"{attribute.name} must be a whole number of at least {minimum}, not {value!r}"
            )

    return check


def _number(
    *, above: float | None = None, endless: bool = False
) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    wanted = "of at least 0" if above is None else f"above {above:g}"
    kind = "number" if endless else "finite number"

    def check(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        good = isinstance(value, int | float) and not isinstance(value, bool)
        good = good and (value >= 0 if above is None else value > above)
        if not good or not (value <= sys.float_info.max or (endless and value == math.inf)):
            raise InvalidArgumentError(f"{attribute.name} must be a {kind} {wanted}, not {value!r}")

    return check


def _flag(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, bool):
        raise InvalidArgumentError(f"{attribute.name} must be True or False, not {value!r}")


@attrs.frozen(kw_only=True)
class TransferConfig:
    """How bytes are moved, for all transfers of a session together."""

    max_concurrency: int = attrs.field(default=32, validator=_whole(minimum=1))
    """Ceiling of requests that move bytes at once, in the whole session.

    Half as many that move none, at least 4, may go beside them. What waits for its caller, such as
    an `open_download` that nobody reads, doesn't count meanwhile, and goes on at once when the
    caller is back. With 1, one `open_download` may go beside an upload or a download.
    """

    part_size: int | None = attrs.field(
        default=None, validator=attrs.validators.optional(_whole(minimum=1))
    )
    """Bytes in a part; by default 16 MiB, grown where 10,000 of them wouldn't hold the file.

    Also bytes in a range of a download; by default 16 MiB, and 32 MiB where bytes come fast.
    """

    multipart_threshold: int = attrs.field(default=16 * MIB, validator=_whole(minimum=0))
    """What is shorter goes as one simple upload, and comes as one stream."""

    memory_budget: int = attrs.field(default=64 * MIB, validator=_whole(minimum=MIB))
    """Bytes that may be held in buffers, in the whole session."""

    adaptive: bool = attrs.field(default=True, validator=_flag)
    """Find out how much at once the link carries; without it `max_concurrency` is used."""

    max_upload_bytes_per_second: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(_number(above=0))
    )
    """Bandwidth cap of the whole session; `None` for none."""


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """When a failed attempt is followed by another."""

    max_attempts: int = attrs.field(default=5, validator=_whole(minimum=1))
    """Attempts of one request, the first one counted."""

    initial_backoff: float = attrs.field(default=0.5, validator=_number())
    """Seconds before the first retry; doubled for each one after it."""

    max_backoff: float = attrs.field(default=30.0, validator=_number(endless=True))
    """Most seconds between two attempts, unless the server asks for more."""

    jitter: float = attrs.field(default=0.5, validator=_number())
    """Share of the wait that is left to chance, from 0 to 1."""

    budget: float = attrs.field(default=100.0, validator=_number(endless=True))
    """Retries that the session may spend at once; each retry takes one, each success gives back a
    tenth, so that a server in trouble isn't hammered."""

    max_retry_after: float = attrs.field(default=300.0, validator=_number(endless=True))
    """Longest `Retry-After` that is waited for; a longer one ends the attempt with its error."""

    def __attrs_post_init__(self) -> None:
        if self.jitter > 1:
            raise InvalidArgumentError(f"jitter must be from 0 to 1, not {self.jitter!r}")


@attrs.frozen(kw_only=True)
class Timeouts:
    """How long nothing may happen; a transfer as a whole may take days."""

    connect: float = attrs.field(default=30.0, validator=_number(above=0))
    """Seconds to make a connection."""

    stall: float = attrs.field(default=60.0, validator=_number(above=0, endless=True))
    """Seconds in which no byte moves, in either direction."""
