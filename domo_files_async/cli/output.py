"""What is shown and where: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import re
import sys
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import attrs
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from domo_files_async.events import Progress as Done

__all__ = (
    "binary_input",
    "binary_output",
    "complain",
    "say",
    "show",
    "show_table",
    "size_of",
    "tracked",
)

_out = Console(soft_wrap=True, highlight=False, emoji=False)
_err = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)
_WIDE = 250
_CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def binary_input() -> BinaryIO:
    """Give standard input.

    Raises:
        OSError: It was closed when this process began.
    """
    if sys.stdin is None:
        raise OSError("Standard input is closed: open it, or redirect it from a file")
    return sys.stdin.buffer


def binary_output() -> BinaryIO:
    """Give standard output.

    Raises:
        OSError: It was closed when this process began.
    """
    if sys.stdout is None:
        raise OSError("Standard output is closed: open it, or redirect it to a file")
    return sys.stdout.buffer


def complain(text: str) -> None:
    """Say what went wrong, on standard error."""
    _err.print(_harmless(text), style="red", markup=False)


def say(text: str, *, as_json: bool = False) -> None:
    """Say something to a person; with NDJSON, not among it."""
    (_err if as_json else _out).print(_harmless(text), markup=False)


def show(value: object, *, as_json: bool, text: str) -> None:
    """Show one result: a line of JSON, or *text*."""
    if as_json:
        sys.stdout.write(json.dumps(_plain(value)) + "\n")
        sys.stdout.flush()
    else:
        say(text)


def show_table(title: str, headings: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Show rows to a person."""
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_harmless(cell)) for cell in row))
    # Whoever reads a pipe by lines wants one line a row.
    width = None if _out.is_terminal else _WIDE
    Console(highlight=False, emoji=False, width=width).print(table)


@contextmanager
def tracked(label: str, *, as_json: bool) -> Iterator[Callable[[Done], None]]:
    """Show a progress bar where there is a terminal; give the function that moves it."""
    if as_json or not _err.is_terminal:
        yield lambda _: None
        return
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=_err,
    )
    with bar:
        task = bar.add_task(label, total=None)
        yield lambda done: bar.update(task, completed=done.bytes_done, total=done.bytes_total)


def size_of(count: float) -> str:
    """Write a number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":  # noqa: PLR2004 - the next unit
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def _harmless(text: str) -> str:
    # A file's name is somebody else's text, and must not steer this terminal.
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def _plain(value: Any) -> Any:  # noqa: PLR0911 - one line a kind
    match value:
        case datetime():
            return value.isoformat()
        case Path():
            return str(value)
        case dict():
            return {str(name): _plain(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case str() | int() | float() | bool() | None:
            return value
        case _ if attrs.has(type(value)):
            return {
                field.name.rstrip("_"): _plain(getattr(value, field.name))
                for field in attrs.fields(type(value))
            }
        case _:
            return str(value)
