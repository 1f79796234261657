"""What a job came to, read from its journal: for people a page, for machines JSON and CSV."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from domo_files_async.bulk.page import write_page
from domo_files_async.errors import DestinationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domo_files_async.bulk.figures import Figures

__all__ = ("Report",)

_ITEMS = """
SELECT source, name, state, data_file_id, revision_id, coalesce(sent_size, size), sha256, failure,
    error, because, attempts, elapsed, ended
FROM items ORDER BY number
"""
_COLUMNS = (
    *("source", "name", "status", "data_file_id", "revision_id", "size_bytes", "sha256"),
    *("failure", "error", "because", "attempts", "elapsed", "ended"),
)
_IDS = """
SELECT items.source, name, revisions.source_revision, data_file_id,
    coalesce(revisions.revision_id, CASE WHEN revisions.item IS NULL THEN items.revision_id END)
FROM items LEFT JOIN revisions ON revisions.item = number
WHERE data_file_id IS NOT NULL ORDER BY number, revisions.source_revision
"""
_ID_COLUMNS = ("source", "name", "source_revision_id", "data_file_id", "revision_id")


@attrs.frozen
class Report:
    """A job's report, as of when it was read; files of all items are read when they are written.

    Attributes:
        path: The job's journal.
        figures: What it came to, in numbers.
    """

    path: str
    figures: Figures

    def write_html(self, path: str | os.PathLike[str]) -> None:
        """Write one page that needs nothing besides itself.

        Args:
            path: The file; replaced where it is there.

        Raises:
            DestinationError: It can't be written.
        """
        _write(path, write_page(self.figures, title=Path(self.path).name))

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Write the numbers as JSON.

        Args:
            path: The file; replaced where it is there.

        Raises:
            DestinationError: It can't be written.
        """
        _write(path, json.dumps(attrs.asdict(self.figures), default=str, indent=1) + "\n")

    def write_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a line an item, as CSV: what became of it.

        Args:
            path: The file; replaced where it is there.

        Raises:
            DestinationError: It can't be written.
        """
        rows = (
            (*row[:-1], row[-1] and datetime.fromtimestamp(row[-1], UTC).isoformat())
            for row in self._rows(_ITEMS)
        )
        _write_rows(path, _COLUMNS, rows)

    def write_id_map(self, path: str | os.PathLike[str]) -> None:
        """Write what became what, as CSV, or as JSON where the path ends in `.json`.

        A line a revision where items came from another instance, else a line an item.

        Args:
            path: The file; replaced where it is there.

        Raises:
            DestinationError: It can't be written.
        """
        if os.fspath(path).endswith(".json"):
            _write_objects(path, _ID_COLUMNS, self._rows(_IDS))
        else:
            _write_rows(path, _ID_COLUMNS, self._rows(_IDS))

    def _rows(self, question: str) -> Iterator[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as database:
            for row in database.execute(question):
                yield tuple(
                    os.fsdecode(one).encode("utf-8", "replace").decode()
                    if isinstance(one, bytes)
                    else one
                    for one in row
                )


def _write(path: str | os.PathLike[str], text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise DestinationError(f"{os.fspath(path)} can't be written: {error}") from error


def _write_rows(
    path: str | os.PathLike[str], columns: tuple[str, ...], rows: Iterator[tuple[Any, ...]]
) -> None:
    try:
        with Path(path).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(rows)
    except OSError as error:
        raise DestinationError(f"{os.fspath(path)} can't be written: {error}") from error


def _write_objects(
    path: str | os.PathLike[str], columns: tuple[str, ...], rows: Iterator[tuple[Any, ...]]
) -> None:
    try:
        with Path(path).open("w", encoding="utf-8") as file:
            before = "[\n"
            for row in rows:
                file.write(before + json.dumps(dict(zip(columns, row, strict=True))))
                before = ",\n"
            file.write("\n]\n" if before == ",\n" else "[]\n")
    except OSError as error:
        raise DestinationError(f"{os.fspath(path)} can't be written: {error}") from error
