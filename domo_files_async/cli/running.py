"""Runs what a command does until it is done or interrupted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from domo_files_async.cli.output import complain

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ("run",)

_T = TypeVar("_T")
_INTERRUPTED = 130


def run(command: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine; Ctrl-C cancels it, lets it clean up, and gets a word and its exit code."""
    try:
        return asyncio.run(command)
    except KeyboardInterrupt:
        complain("Interrupted.")
        raise typer.Exit(_INTERRUPTED) from None
