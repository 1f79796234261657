"""How a run goes about it: numbers, checked before anything is begun."""

from __future__ import annotations

from typing import Any

import attrs

from domo_files_async.errors import InvalidArgumentError

__all__ = ("Options",)


def _at_least(least: int) -> Any:
    def check(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InvalidArgumentError(
                f"{attribute.name} must be a whole number of at least {least}, not {value!r}"
            )

    return check


def _seconds(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise InvalidArgumentError(f"{attribute.name} must be seconds, not {value!r}")


def _share(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (is_number and 0 <= value <= 1):
        raise InvalidArgumentError(
            f"{attribute.name} must be a share from 0 to 1, or None, not {value!r}"
        )


@attrs.frozen(kw_only=True)
class Options:
    """How a run goes about it; see `Job.run`."""

    concurrency: int = attrs.field(default=32, validator=_at_least(1))
    large_concurrency: int = attrs.field(default=4, validator=_at_least(1))
    passes: int = attrs.field(default=3, validator=_at_least(0))
    pass_delay: float = attrs.field(default=5.0, validator=_seconds)
    fail_fast: bool = False
    max_failure_rate: float | None = attrs.field(default=0.5, validator=_share)
    settle: float = attrs.field(default=15.0, validator=_seconds)
    patience: float = attrs.field(default=3600.0, validator=_seconds)
