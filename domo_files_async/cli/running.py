"""Runs what a command does until it is done or interrupted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from domo_files_async.cli.output import complain

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ("interrupted", "run")

_T = TypeVar("_T")
_INTERRUPTED = 130


def run(command: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine; Ctrl-C cancels it, lets it clean up, and gets a word and its exit code."""
    try:
        return asyncio.run(command)
    except KeyboardInterrupt:
        raise interrupted() from None


def interrupted() -> typer.Exit:
    """Say that Ctrl-C ended it; give what ends the process."""
    complain("Interrupted.")
    return typer.Exit(_INTERRUPTED)
