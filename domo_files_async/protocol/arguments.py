"""What callers may hand over: each check gives the value as it can be sent, or says what is wrong.

Every function raises `InvalidArgumentError` for anything else, whatever its type.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence

from domo_files_async.errors import InvalidArgumentError
from domo_files_async.models import Permissions

__all__ = (
    "CONTROLS",
    "checked_description",
    "checked_expand",
    "checked_flag",
    "checked_function",
    "checked_id",
    "checked_ids",
    "checked_name",
    "checked_permissions",
    "checked_range",
    "checked_session_id",
    "checked_type",
)

_LARGEST = 2**63 - 1
_EXPANDABLE = ("revisions", "metadata")
_SURROGATES = re.compile("[\ud800-\udfff]")
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""What no name can have."""
_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+*-]+(\s*;.*)?")
_TEXT_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def checked_ids(ids: object) -> list[int]:
    """Give data file ids as a list."""
    if not isinstance(ids, Iterable):
        raise InvalidArgumentError(f"ids must be data file ids, not {ids!r}")
    return [checked_id(one) for one in ids]


def checked_permissions(permissions: object) -> Permissions:
    """Give permissions as they are."""
    if not isinstance(permissions, Permissions):
        raise InvalidArgumentError(f"permissions must be Permissions, not {permissions!r}")
    return permissions


def checked_id(value: object, what: str = "data_file_id") -> int:
    """Give an id: a whole number that 64 bits hold, not negative."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST:
        raise InvalidArgumentError(
            f"{what} must be a whole number from 0 to {_LARGEST}, not {value!r}"
        )
    return value


def checked_name(name: object) -> str:
    """Give a data file's name: any text of one line that isn't blank."""
    if not isinstance(name, str) or not name.strip():
        raise InvalidArgumentError(f"The name of a data file must be a text, not {name!r}")
    if CONTROLS.search(name) or _SURROGATES.search(name):
        raise InvalidArgumentError(
            f"The name {name!r} holds control characters, line breaks or broken Unicode"
        )
    return name


def checked_description(description: object) -> str | None:
    """Give a description: any text, on several lines if need be; `None` for none."""
    if description is None:
        return None
    if not isinstance(description, str):
        raise InvalidArgumentError(f"A description must be a text, not {description!r}")
    if _TEXT_CONTROLS.search(description) or _SURROGATES.search(description):
        raise InvalidArgumentError("The description holds control characters or broken Unicode")
    return description


def checked_type(content_type: object) -> str:
    """Give a content type, parameters and all."""
    good = isinstance(content_type, str) and content_type.isascii() and content_type.isprintable()
    if not good or not _TYPE.fullmatch(str(content_type)):
        raise InvalidArgumentError(f"{content_type!r} is no content type, such as text/csv")
    return str(content_type)


def checked_expand(expand: object) -> str | None:
    """Give what is to be told besides, as the API takes it; `None` for nothing."""
    if not isinstance(expand, Iterable):
        raise InvalidArgumentError(f"expand takes {' and '.join(_EXPANDABLE)}, not {expand!r}")
    asked = [expand] if isinstance(expand, str) else list(expand)
    for word in asked:
        if word not in _EXPANDABLE:
            raise InvalidArgumentError(f"expand takes {' and '.join(_EXPANDABLE)}, not {word!r}")
    return ",".join(dict.fromkeys(asked)) or None


def checked_range(byte_range: object) -> tuple[int, int | None]:
    """Give the first byte, and the one after the last; `None` for up to the end."""
    if not isinstance(byte_range, Sequence) or len(byte_range) != 2:  # noqa: PLR2004 - a pair
        raise InvalidArgumentError(f"byte_range must be (start, stop), not {byte_range!r}")
    start, stop = byte_range
    checked_id(start, "the start of byte_range")
    if stop is not None and checked_id(stop, "the stop of byte_range") <= start:
        raise InvalidArgumentError(f"byte_range must hold a byte: {byte_range!r} holds none")
    return start, stop


def checked_flag(name: str, value: object) -> str:
    """Give a truth value as a query holds it."""
    if not isinstance(value, bool):
        raise InvalidArgumentError(f"{name} must be True or False, not {value!r}")
    return "true" if value else "false"


def checked_function(name: str, value: object) -> None:
    """Check a function of the caller's that is called on the loop; `None` for none."""
    if value is None:
        return
    if not callable(value) or any(
        inspect.iscoroutinefunction(one) for one in (value, value.__call__)
    ):
        raise InvalidArgumentError(
            f"{name} must be a plain function, which isn't awaited, not {value!r}"
        )


def checked_session_id(session_id: object) -> str:
    """Give a multipart session's id; any text may be one that a path can hold."""
    wrong = not isinstance(session_id, str) or session_id in {"", ".", ".."}
    if wrong or CONTROLS.search(str(session_id)) or _SURROGATES.search(str(session_id)):
        raise InvalidArgumentError(f"{session_id!r} can't be a multipart session's id")
    return str(session_id)
