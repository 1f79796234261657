"""What a job moves: items, each with what it shall be in Domo, streamed from where they are listed.

Nothing here holds more than one page of items: a million of them are never in memory together.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from collections.abc import AsyncIterable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

import attrs

from domo_files_async.errors import InvalidArgumentError, SourceError
from domo_files_async.models import PermissionEntry
from domo_files_async.protocol.arguments import CONTROLS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from domo_files_async.models import DataFile
    from domo_files_async.session import DomoFilesSession

__all__ = (
    "DOMO",
    "Item",
    "Items",
    "SessionItems",
    "digest_of",
    "fingerprint_of",
    "from_directory",
    "from_glob",
    "from_session",
    "is_text",
    "measured",
    "own_name",
    "placed",
    "printable",
)

DOMO = "domo-file:"
"""What the source of an item begins with that is a data file of another instance."""

_FIRST_PRINTABLE = 32
_CREDENTIAL = re.compile(r"[a-z][a-z0-9+.-]*://[^/@]*:[^/@]*@", re.IGNORECASE)
_NUMBER = re.compile("[0-9]{1,18}")
_MOST = 2**63 - 1
"""The largest number that the journal can hold."""
_WILD = re.compile(r"[*?\[]")


def is_text(value: str, encode: Callable[[str], bytes] = str.encode) -> bool:
    """Say whether *value* is Unicode, which a path of undecodable bytes isn't.

    Args:
        value: A text, or a path.
        encode: `os.fsencode` takes such paths, too.
    """
    try:
        encode(value)
    except UnicodeEncodeError:
        return False
    return True


def _source(value: str | os.PathLike[str]) -> str:
    text = os.fspath(value)
    is_path = isinstance(text, str) and (is_text(text) or is_text(text, os.fsencode))
    if not is_path or not text or "\0" in text:
        raise InvalidArgumentError(f"An item's source must be a path or a URL, not {value!r}")
    if _CREDENTIAL.match(text):
        raise InvalidArgumentError(
            "A URL with a credential in it would be kept in the journal: put the credential into "
            "the environment, or into fsspec's configuration"
        )
    if text.startswith(DOMO) and not _NUMBER.fullmatch(text, len(DOMO)):
        raise InvalidArgumentError(f"A data file as a source is {DOMO}NUMBER, not {value!r}")
    return text


def _entries(value: Iterable[PermissionEntry]) -> tuple[PermissionEntry, ...]:
    entries = tuple(value)
    for entry in entries:
        if not isinstance(entry, PermissionEntry):
            raise InvalidArgumentError(f"Grants are PermissionEntry objects, not {entry!r}")
    return entries


def _whole(_: object, attribute: attrs.Attribute[int | None], value: int | None) -> None:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if value is not None and (not is_number or not 0 <= value <= _MOST):
        raise InvalidArgumentError(f"{attribute.name} must be a whole number, not {value!r}")


def _words(_: object, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    if not isinstance(value, str | None) or (value is not None and not is_text(value)):
        raise InvalidArgumentError(f"{attribute.name} must be a text, not {value!r}")


def _text(_: object, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    if value is None:
        return
    is_name = isinstance(value, str) and value != "" and is_text(value)
    if not is_name or min(map(ord, value)) < _FIRST_PRINTABLE:
        raise InvalidArgumentError(
            f"{attribute.name} must be a text without control characters, not {value!r}"
        )


@attrs.frozen(kw_only=True)
class Item:
    """One file of a job.

    Attributes:
        source: A path, an fsspec URL, or a data file of another instance.
        name: The data file's; `None` for the source's own, or what the data file has.
        description: The data file's.
        content_type: By default guessed from the name.
        public: Whether all users of the instance may read it; `None` as for `upload`.
        data_file_id: The data file that gets a new revision; `None` for a new data file.
        grants: Entries for the data file's permissions.
        size: Bytes, where known.
        fingerprint: What differs once the source has changed, where known.
    """

    source: str = attrs.field(converter=_source)
    name: str | None = attrs.field(default=None, validator=_text)
    description: str | None = attrs.field(default=None, validator=_words)
    content_type: str | None = attrs.field(default=None, validator=_text)
    public: bool | None = None
    data_file_id: int | None = attrs.field(default=None, validator=_whole)
    grants: tuple[PermissionEntry, ...] = attrs.field(default=(), converter=_entries)
    size: int | None = attrs.field(default=None, validator=_whole)
    fingerprint: str | None = None

    @property
    def key(self) -> str:
        """What tells it from the other items of its job: where from, and where to."""
        if self.data_file_id is not None:
            return f"{self.source}\n#{self.data_file_id}"
        if self.domo_id is not None:
            # It may get another name there, and is the same.
            return f"{self.source}\n"
        return f"{self.source}\n{self.name or ''}"

    @property
    def is_url(self) -> bool:
        """Whether its source is opened with fsspec."""
        return "://" in self.source

    @property
    def domo_id(self) -> int | None:
        """The data file of another instance that is its source, if it is one."""
        if not self.source.startswith(DOMO):
            return None
        return int(self.source.removeprefix(DOMO))


Items: TypeAlias = Iterable[Item] | AsyncIterable[Item]


def from_directory(
    folder: str | os.PathLike[str], *, pattern: str = "**/*", follow_symlinks: bool = False
) -> Iterator[Item]:
    """Give the files below a folder, in the order in which the system lists them.

    Args:
        folder: Where to look; hidden files count, too.
        pattern: Which of them: `**/` is any depth, `*` and `?` stay within one name.
        follow_symlinks: Whether links are followed; by default they are left out.

    Returns:
        An item a file, which is called as its path below the folder, with `/` between the parts.

    Raises:
        SourceError: There is no such folder, or a part of it can't be read.
    """
    root = os.fspath(folder)
    if not os.path.isdir(root):  # noqa: PTH112 - paths stay as they are given
        raise SourceError(f"{root} is no folder that can be read: check the path")
    try:
        matches = re.compile(_translate(pattern)).fullmatch
    except re.error as error:
        raise InvalidArgumentError(f"{pattern!r} is no pattern: {error}") from error
    is_deep = "/" in pattern or "**" in pattern
    return (
        item
        for item in _walk(root, is_deep=is_deep, follow_symlinks=follow_symlinks)
        if matches(item.name or "")
    )


def from_glob(pattern: str) -> Iterator[Item]:
    """Give the files that a pattern names, such as `data/*.parquet` or `logs/**/*.gz`.

    Args:
        pattern: With `/` between its parts; `**/`, `*` and `?` mean the same as for
            `from_directory`. Links that it comes across are left out.

    Returns:
        An item a file, which is called as its path below the part without wildcards.

    Raises:
        SourceError: There is no such folder, or a part of it can't be read.
    """
    parts = pattern.split("/")
    plain = next((place for place, part in enumerate(parts) if _WILD.search(part)), len(parts) - 1)
    folder = "/".join(parts[:plain]) or ("/" if pattern.startswith("/") else ".")
    return from_directory(folder, pattern="/".join(parts[plain:]))


def _translate(pattern: str) -> str:
    """Write a pattern as a regular expression; `fnmatch`'s own lets `*` cross folders."""
    found = re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]+\])", pattern)
    wild = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    written = []
    for piece in found:
        if piece.startswith("[") and piece.endswith("]"):
            written.append(f"[^{piece[2:-1]}]" if piece[1] == "!" else piece)
        else:
            written.append(wild.get(piece) or re.escape(piece))
    return "(?s:" + "".join(written) + ")"


def _walk(root: str, *, is_deep: bool, follow_symlinks: bool) -> Iterator[Item]:
    start = len(os.path.join(root, ""))  # noqa: PTH118 - a string's length is asked
    stack = []
    seen: set[tuple[int, int]] = set()
    try:
        stack.append(os.scandir(root))
        while stack:
            entry = next(stack[-1], None)
            if entry is None:
                stack.pop().close()
                continue
            # What has gone since it was listed is left out, as if it had gone before.
            with suppress(FileNotFoundError):
                if _is(entry.is_dir, follow_symlinks):
                    if is_deep and not (follow_symlinks and _was_seen(entry, seen)):
                        stack.append(os.scandir(entry))
                elif _is(entry.is_file, follow_symlinks):
                    yield _of_entry(entry, entry.path[start:])
    except OSError as error:
        where = error.filename or root
        raise SourceError(f"{where} can't be listed: {error.strerror or error}") from error
    finally:
        for listing in stack:
            listing.close()


def _of_entry(entry: os.DirEntry[str], name: str) -> Item:
    status = entry.stat()
    return Item(
        source=entry.path,
        name=printable(name.replace(os.sep, "/")),
        size=status.st_size,
        fingerprint=fingerprint_of(status),
    )


def _is(kind: Callable[..., bool], follow_symlinks: bool) -> bool:
    try:
        return kind(follow_symlinks=follow_symlinks)
    except OSError as error:
        if error.errno == errno.ELOOP:  # a link that leads to itself
            return False
        raise


def _was_seen(entry: os.DirEntry[str], seen: set[tuple[int, int]]) -> bool:
    # A link to a folder above itself would never end.
    status = entry.stat()
    key = (status.st_dev, status.st_ino)
    if key in seen:
        return True
    seen.add(key)
    return False


def placed(item: Item) -> Item:
    """Give the item with a path that is the same from every folder, however it was written."""
    if item.is_url or item.domo_id is not None:
        return item
    path = os.path.abspath(item.source)  # noqa: PTH100 - a path may be no text
    return item if path == item.source else attrs.evolve(item, source=path)


def printable(name: str) -> str:
    """Give a file's name as a data file can have it: without controls and undecodable bytes."""
    return CONTROLS.sub("_", name.encode("utf-8", "replace").decode())


def own_name(source: str) -> str:
    """Give the name of a path, or of a URL, as a data file can have it."""
    return printable(os.path.basename(source) or source)  # noqa: PTH119 - also of a URL


def fingerprint_of(status: os.stat_result) -> str:
    """Give what differs once a file has changed: its size and the time of the change."""
    return f"{status.st_size}:{status.st_mtime_ns}"


def digest_of(path: str) -> str:
    """Give the SHA-256 of a file; called in a thread.

    Raises:
        OSError: It can't be read.
    """
    with open(path, "rb") as file:  # noqa: PTH123 - paths stay as they are given
        return hashlib.file_digest(file, "sha256").hexdigest()


def measured(item: Item) -> Item:
    """Give the item with the size and the fingerprint that its file has now; called in a thread.

    Items that are no files, or that can't be found, stay as they are.
    """
    if item.is_url or item.domo_id is not None:
        return item
    try:
        status = os.stat(item.source)  # noqa: PTH116 - paths stay as they are given
    except (OSError, ValueError):
        return attrs.evolve(item, size=None, fingerprint=None)
    if not stat.S_ISREG(status.st_mode):
        return attrs.evolve(item, size=None)
    return attrs.evolve(item, size=status.st_size, fingerprint=fingerprint_of(status))


class SessionItems:
    """The data files of an instance, as items of a job; made by `from_session`.

    Attributes:
        session: The session that lists them, and that the job reads them from.
        revisions: `"all"` or `"current"`.
    """

    def __init__(
        self, session: DomoFilesSession, ids: Iterable[int] | None, revisions: str
    ) -> None:
        self.session = session
        self.revisions = revisions
        self._ids = None if ids is None else list(ids)

    async def __aiter__(self) -> AsyncIterator[Item]:
        files = await self.session.list_files(ids=self._ids, limit_to_owned=self._ids is None)
        for file in files:
            yield _of_file(file, self.revisions)
        # They fail where they are moved, each for itself.
        for missing in sorted({*(self._ids or ())} - {file.data_file_id for file in files}):
            yield Item(source=f"{DOMO}{missing}")


def _of_file(file: DataFile, revisions: str) -> Item:
    current = file.current_revision
    number = 0 if current is None else current.data_file_revision_id
    return Item(
        source=f"{DOMO}{file.data_file_id}",
        name=printable(file.name) or None,
        content_type=None if current is None else current.content_type,
        size=None if current is None else current.size_bytes,
        fingerprint=f"{revisions}:{number}",
    )


def from_session(
    session: DomoFilesSession, *, ids: Iterable[int] | None = None, revisions: str = "current"
) -> SessionItems:
    """Give the data files of another instance.

    Args:
        session: Of that instance; on either surface.
        ids: Which of them; by default all that the session's user owns. One that isn't there is
            an item that fails.
        revisions: `"all"`, in their order, or the `"current"` one.

    Returns:
        An async iterable of items, one a data file; listed when it is iterated over.

    Raises:
        InvalidArgumentError: *revisions* is something else.
    """
    if revisions not in {"all", "current"}:
        raise InvalidArgumentError(f"revisions must be 'all' or 'current', not {revisions!r}")
    return SessionItems(session, ids, revisions)
