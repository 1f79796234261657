"""Commands in a group of one name; the name alone shows which there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from domo_files_async.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("add_group",)

_WRONG_USAGE = 2


def add_group(app: typer.Typer, name: str, about: str, **commands: Callable[..., object]) -> None:
    """Add a group of commands.

    Args:
        app: Gets them.
        name: The group's.
        about: What they are for, in a sentence.
        commands: By their names.
    """
    group = typer.Typer(help=about)
    group.callback(invoke_without_command=True)(_begin)
    for word, command in commands.items():
        group.command(word)(command)
    app.add_typer(group, name=name)


def _begin(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        say(context.get_help())
        raise typer.Exit(_WRONG_USAGE)
