"""Tell a SQLite file of ours from another, and give a new one its tables, whoever else does."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING

from domo_files_async.errors import JournalError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ("PATIENCE", "WAY_OUT", "prepare")

PATIENCE = 30.0
"""Seconds that a write waits for those of other processes."""
_HEADER = 100
"""Bytes that a file of SQLite's begins with; it takes a shorter one for an empty one."""
WAY_OUT = "Nothing was overwritten: give another path, or move this file away"


def prepare(
    connection: sqlite3.Connection,
    path: str | Path,
    *,
    kind: str,
    application: int,
    version: int,
    tables: Iterable[str],
) -> None:
    """Look at the file before anything is written to it; an empty one gets its tables.

    Args:
        connection: To the file, in autocommit mode.
        path: For messages.
        kind: What the file should be, such as `an upload journal`.
        application: What marks the file as one of this kind.
        version: Of the tables.
        tables: The statements that make them.

    Raises:
        JournalError: It's another's file, or of another version.
    """
    if _is_ours(connection, path, kind, (application, version)):
        return
    if 0 < os.path.getsize(path) < _HEADER:  # noqa: PTH202 - also of a text
        raise JournalError(f"{path} is damaged: it ends within its first bytes. {WAY_OUT}")
    import sqlite3  # noqa: PLC0415 - who keeps no journal doesn't wait for it

    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            break
        except sqlite3.OperationalError:
            # Nobody waits for his turn to do this.
            if time.monotonic() > deadline:
                raise
            threading.Event().wait(0.01)
    try:
        if not _is_ours(connection, path, kind, (application, version)):
            for statement in tables:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {application}")
            connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _is_ours(
    connection: sqlite3.Connection, path: str | Path, kind: str, mark: tuple[int, int]
) -> bool:
    # One statement, so that another process can't write the tables between two answers.
    application, found, tables = connection.execute(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master) "
        "FROM pragma_application_id, pragma_user_version"
    ).fetchone()
    if application == found == tables == 0:
        return False
    if application != mark[0]:
        raise JournalError(f"{path} isn't {kind}. {WAY_OUT}")
    if found != mark[1]:
        raise JournalError(
            f"{path} has version {found}, and this is written for {mark[1]}: use the "
            f"domo-files-async that made it. {WAY_OUT}"
        )
    return True
