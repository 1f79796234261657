"""Files to move, made once a run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from benchmarks.jobs import MIB

if TYPE_CHECKING:
    import pathlib


def make_file(folder: pathlib.Path, size: int) -> pathlib.Path:
    """Make a file of *size* random bytes, hot in the page cache; it is kept for the next asker."""
    path = folder / f"random-{size}"
    if not path.exists():
        with path.open("wb") as made:
            for start in range(0, size, MIB):
                made.write(os.urandom(min(MIB, size - start)))
            made.flush()
            os.fsync(made.fileno())  # no writing back while something is measured
    return path


def make_sparse_file(folder: pathlib.Path, size: int) -> pathlib.Path:
    """Make a file of *size* zeroes that takes no room on the disk."""
    path = folder / f"zeroes-{size}"
    with path.open("wb") as made:
        made.truncate(size)
    return path


def touch_memory(folder: pathlib.Path, size: int) -> None:
    """Fill and free as much of the page cache as a file of *size* bytes takes.

    A virtual machine's host takes memory back that was idle for some seconds, and whoever touches
    it next would pay for that.
    """
    path, zeroes = folder / "touched", bytes(MIB)
    with path.open("wb") as made:
        for _ in range(0, size, MIB):
            made.write(zeroes)
    path.unlink()


def make_folder(folder: pathlib.Path, count: int, size: int) -> pathlib.Path:
    """Make a folder of *count* files with *size* random bytes each."""
    made = folder / f"{count}-files"
    made.mkdir()
    for number in range(count):
        (made / f"file-{number:05}.bin").write_bytes(os.urandom(size))
    return made
