"""A file that several open at once gets its tables once, and another's stays as it was."""

from __future__ import annotations

import concurrent.futures
import sqlite3
import threading

import pytest

from domo_files_async.engine.database import prepare
from domo_files_async.errors import JournalError

TABLES = tuple(f"CREATE TABLE t{number} (x)" for number in range(20))


def open_one(path, version=1):
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    try:
        prepare(connection, path, kind="a test", application=7, version=version, tables=TABLES)
        return connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    finally:
        connection.close()


def test_all_that_open_a_new_file_at_once_find_all_of_its_tables(tmp_path):
    together = threading.Barrier(4)

    def open_together(path):
        together.wait()
        return open_one(path)

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        for number in range(25):
            path = tmp_path / str(number)
            assert list(threads.map(open_together, [path] * 4)) == [len(TABLES)] * 4


def test_a_file_of_another_version_is_left_as_it_was(tmp_path):
    open_one(tmp_path / "new", version=2)
    before = (tmp_path / "new").read_bytes()
    with pytest.raises(JournalError, match="has version 2, and this is written for 1"):
        open_one(tmp_path / "new")
    assert (tmp_path / "new").read_bytes() == before


def test_what_was_begun_and_not_ended_is_made_again(tmp_path):
    connection = sqlite3.connect(tmp_path / "new", isolation_level=None)
    with pytest.raises(sqlite3.OperationalError):
        prepare(
            connection,
            tmp_path / "new",
            kind="a test",
            application=7,
            version=1,
            tables=(*TABLES, "CREATE nonsense"),
        )
    connection.close()
    assert open_one(tmp_path / "new") == len(TABLES)
