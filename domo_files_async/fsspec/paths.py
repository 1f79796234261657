"""Paths: how data files are named in them, what they list, and what isn't there.

Rule 1: a path of digits is a data file's id, and `401@430` one revision of it; all else is a name.
Rule 2: a name that no path leads to, such as `2024` or `a/../b`, is listed by its id.
Rule 3: of several data files with one name none is chosen: the error gives their ids.
"""

from __future__ import annotations

import errno
import os
import re
from contextlib import contextmanager
from glob import has_magic
from typing import TYPE_CHECKING, Any

from fsspec.utils import other_paths

from domo_files_async.errors import (
    AuthenticationError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from domo_files_async.models import DataFile, Revision

__all__ = (
    "ROOT",
    "Listing",
    "describe",
    "directory_entry",
    "is_id",
    "is_name",
    "known_size",
    "not_found",
    "os_errors",
    "path_of",
    "read_id",
    "target_paths",
)

ROOT = ""
"""The directory of all."""

_ID = re.compile(r"([1-9][0-9]{0,17})(?:@([1-9][0-9]{0,17}))?")
_MISLEADING = re.compile(r"[\x00-\x1f\x7f\\]|::|^domo://")


class Listing:
    """All data files that can be seen, by the paths that lead to them."""

    def __init__(self, files: Iterable[DataFile]) -> None:
        self._files: dict[int, DataFile] = {}
        self._ids: dict[str, list[int]] = {}
        self._directories: dict[str, list[dict[str, Any]]] = {}
        self.replace((), files)

    def replace(self, ids: Iterable[int], files: Iterable[DataFile]) -> None:
        """Put what these data files are now in place of what they were; the absent are gone."""
        for number in ids:
            if old := self._files.pop(number, None):
                path = path_of(old)
                self._ids[path].remove(number)
                if not self._ids[path]:
                    del self._ids[path]
        for file in files:
            self._files[file.data_file_id] = file
            self._ids.setdefault(path_of(file), []).append(file.data_file_id)
        self._directories = {}

    def ids(self, path: str) -> list[int]:
        """Give the ids of the data files that a path leads to."""
        return self._ids.get(path, [])

    def file(self, path: str) -> DataFile:
        """Give the one data file that a path leads to.

        Raises:
            FileNotFoundError: There is none.
            InvalidArgumentError: There are several.
        """
        ids = self.ids(path)
        if not ids:
            raise not_found(path)
        if len(ids) > 1:
            which = ", ".join(map(str, sorted(ids)))
            raise InvalidArgumentError(
                f"Several data files are called {path!r}: {which}. Say which by its id, such as "
                f"domo://{ids[0]}"
            )
        return self._files[ids[0]]

    def is_directory(self, path: str) -> bool:
        """Say whether a data file's name begins with this path and a slash."""
        return path in self._tree()

    def entries(self, path: str) -> list[dict[str, Any]]:
        """Give what `ls` gives: what is in a directory, or the data files of that name."""
        tree = self._tree()
        if path in tree:
            return list(tree[path])
        if found := self._entries_of(path):
            return found
        raise not_found(path)

    def _entries_of(self, path: str) -> list[dict[str, Any]]:
        files = [self._files[number] for number in self.ids(path)]
        return [describe(path, file, file.current_revision) for file in files]

    def _tree(self) -> Mapping[str, list[dict[str, Any]]]:
        if not self._directories:
            self._directories[ROOT] = []
            for path in sorted(self._ids):
                self._make(_parent(path)).extend(self._entries_of(path))
        return self._directories

    def _make(self, directory: str) -> list[dict[str, Any]]:
        if directory not in self._directories:
            self._directories[directory] = []
            self._make(_parent(directory)).append(directory_entry(directory))
        return self._directories[directory]


def read_id(path: str) -> tuple[int | None, int | None]:
    """Read a data file's id and a revision's; `None` where a path has none."""
    found = _ID.fullmatch(path)
    if found is None:
        return None, None
    return int(found[1]), int(found[2]) if found[2] else None


def is_id(path: str) -> bool:
    """Whether a path is an id, with or without a revision's."""
    return _ID.fullmatch(path) is not None


def is_name(name: str) -> bool:
    """Whether a path leads back to a data file of this name, and to no place above."""
    return (
        not is_id(name)
        and not _MISLEADING.search(name)
        and not {"", ".", ".."}.intersection(name.split("/"))
    )


def path_of(file: DataFile) -> str:
    """Give the path that leads to a data file: its name where that does, else its id."""
    return file.name if is_name(file.name) else str(file.data_file_id)


def target_paths(asked: str | list[str], found: list[str], target: str, *, into: bool) -> list[str]:
    """Say where what was asked for and found goes, as fsspec's documents do.

    Args:
        asked: A path, a pattern, or several of them.
        found: The paths that are meant.
        target: Where to.
        into: Whether that is a directory.
    """
    if not found:
        return []
    is_one = isinstance(asked, str)
    if isinstance(asked, str):
        into = len(found) == 1 if has_magic(asked) else into and not asked.endswith("/")
    # `other_paths` takes a path without a slash for its own parent, and loses its name.
    rooted = [f"/{path}" for path in found]
    return other_paths(rooted, target, exists=is_one and into, flatten=not is_one)  # type: ignore[no-any-return]


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def directory_entry(path: str) -> dict[str, Any]:
    """Describe a directory."""
    return {"name": path, "size": 0, "type": "directory"}


def describe(path: str, file: DataFile, revision: Revision | None) -> dict[str, Any]:
    """Describe a data file: fsspec's `name`, `type` and `size`, and what Domo says beside."""
    return {
        "name": path,
        "type": "file",
        "size": revision.size_bytes if revision else None,
        "data_file_id": file.data_file_id,
        "revision_id": revision.data_file_revision_id if revision else None,
        "file_name": file.name,
        "content_type": revision.content_type if revision else None,
        "sha256": (revision.sha256_hash_value or "").lower() or None if revision else None,
        "created": file.datetime_created,
        "modified": revision.datetime_uploaded if revision else None,
    }


def known_size(path: str, revision: Revision) -> int:
    """Give a revision's size, without which no range of it can be asked for."""
    if revision.size_bytes is None:
        raise OSError(errno.EIO, "Domo doesn't say its size: get it as a whole", path)
    return revision.size_bytes


def not_found(path: str) -> FileNotFoundError:
    """Make the error that a path leads nowhere."""
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


@contextmanager
def os_errors(path: str) -> Iterator[None]:
    """Raise what a file system raises; ours is the cause."""
    try:
        yield
    except NotFoundError as error:
        raise not_found(path) from error
    except (AuthenticationError, PermissionDeniedError) as error:
        raise PermissionError(errno.EACCES, str(error), path) from error
