"""What gives or takes bytes: seen as bytes in a row, without a copy, or asked what it is for."""

from __future__ import annotations

import inspect
from pathlib import PurePath
from typing import Any

from domo_files_async.errors import InvalidArgumentError

__all__ = (
    "checked_chunk",
    "checked_now",
    "describe",
    "is_open_for",
    "name_of",
    "takes_size",
    "view_of",
)


def checked_chunk(chunk: object) -> memoryview:
    """Give a view of the bytes that a source gave.

    Raises:
        InvalidArgumentError: They are none.
    """
    view = view_of(chunk)
    if view is not None:
        return view
    checked_now(chunk)
    raise InvalidArgumentError(
        f"The source gave {type(chunk).__name__} where bytes were due: is it in text mode?"
    )


def checked_now(answer: Any) -> Any:
    """Give what a plain function of the caller's returned, if it is there already.

    Raises:
        InvalidArgumentError: It is still to be awaited.
    """
    if not inspect.isawaitable(answer):
        return answer
    if inspect.iscoroutine(answer):
        answer.close()
    raise InvalidArgumentError(
        f"A plain function gave a {type(answer).__name__}, which is to be awaited: make it an "
        "`async def`, or it is taken for one that blocks, and called in a thread"
    )


def is_open_for(file: object, *modes: str) -> bool:
    """Say whether a file says that it is open for nothing else; many say nothing.

    Whether it is `readable` or `writable` isn't asked: many of those that one writes oneself say
    no to both.
    """
    mode = getattr(file, "mode", None)
    return isinstance(mode, str) and "+" not in mode and mode.startswith(modes)


def takes_size(read: Any) -> bool:
    """Say whether this reads as a file does; some that are iterated over read only as a whole."""
    try:
        inspect.signature(read).bind(1)
    except TypeError:
        return False
    except ValueError:
        # Some built-in functions don't say what they take.
        return True
    return True


def view_of(data: Any) -> memoryview | None:
    """Give a view of what is like bytes, in bytes; `None` for what isn't.

    Raises:
        InvalidArgumentError: It can't be seen as bytes in a row.
    """
    try:
        view = memoryview(data)
    except TypeError:
        return None
    try:
        return view.cast("B") if view.nbytes else memoryview(b"")
    except TypeError as error:
        raise InvalidArgumentError(
            f"The bytes of this {type(data).__name__} don't lie side by side: give bytes(…) of it"
        ) from error


def name_of(file: object) -> str | None:
    """Give a file's name without its folder, if it has one."""
    name = getattr(file, "name", None)
    if isinstance(name, str) and name and not name.startswith("<"):
        return PurePath(name).name or None
    return None


def describe(file: object, name: str | None) -> str:
    """Say how errors call a file."""
    return name or f"the {type(file).__name__}"
