"""Commands that are imported when they are asked for, so that help and completion are quick."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

__all__ = ("COMMANDS", "LazyGroup")

COMMANDS = {
    "demo": (
        "demo",
        "Upload a large file in parallel parts to an emulator, get it back, and compare.",
    ),
    "upload": ("transfers", "Upload files, in parallel parts where they are large."),
    "download": (
        "transfers",
        "Download a data file; it appears complete and verified, or not at all.",
    ),
    "ls": ("files", "List data files."),
    "show": (
        "files",
        "Show one data file: its details, its revisions, and who may do what with it.",
    ),
    "rm": ("removal", "Delete data files, or one revision of one, for good."),
    "permissions": ("permissions", "Show and change who may do what with a data file."),
    "sessions": ("sessions", "Show, resume and abort what uploads with a journal left open."),
    "bulk": ("bulk", "Upload many files as one job that can be killed and run again."),
    "migrate": (
        "bulk",
        "Move data files from one instance to another, with revisions and permissions.",
    ),
    "emulator": ("emulator", "Serve the API on this machine only, until Ctrl-C."),
    "doctor": ("doctor", "Look for the usual mistakes, and say what to do."),
}
"""Name of each command: the module here whose `register` adds it, and what it does."""


class LazyGroup(TyperGroup):
    """The commands of `COMMANDS`; a module is imported when one of its commands is run."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Give the names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Import a command; `None` where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"domo_files_async.cli.{COMMANDS[cmd_name][0]}")
        # The group's own help comes from the table, so that of all commands is plain as well.
        group = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
        module.register(group)
        return get_group(group).commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, said) for name, (_, said) in COMMANDS.items()])
