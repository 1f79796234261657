"""Sources that fsspec opens, such as `s3://bucket/key`; fsspec is an extra, imported here only."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from domo_files_async.bulk.items import Item
from domo_files_async.errors import InvalidArgumentError, SourceError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = ("from_urls", "open_url", "read_range", "state_of")

_CHUNK = 1024 * 1024


def from_urls(pattern: str, **options: Any) -> Iterator[Item]:
    """Give the files that an fsspec URL names, such as `s3://bucket/2026/**`.

    Args:
        pattern: A URL, with or without wildcards. Credentials belong into the environment or a
            configuration file of fsspec's, not into the URL.
        options: For the file system, while it lists.

    Returns:
        An item a file, which is called as the last part of its URL.

    Raises:
        SourceError: It can't be listed.
    """
    fsspec = _fsspec()
    try:
        system, path = fsspec.core.url_to_fs(pattern, **options)
        found = system.glob(path, detail=True) if set("*?[") & set(path) else None
        entries = {path: system.info(path)} if found is None else found
    except (OSError, ValueError, ImportError) as error:
        raise SourceError(f"{pattern} can't be listed: {error}") from error
    for name, entry in entries.items():
        if entry.get("type") != "directory":
            size, fingerprint = _state(entry)
            yield Item(
                source=system.unstrip_protocol(name),
                name=name.rstrip("/").rpartition("/")[2],
                size=size,
                fingerprint=fingerprint,
            )


async def open_url(url: str) -> AsyncIterator[bytes]:
    """Give the bytes of a URL.

    Raises:
        SourceError: It can't be read.
    """
    fsspec = _fsspec()
    try:
        file = await asyncio.to_thread(lambda: fsspec.open(url, "rb").open())
        try:
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                yield chunk
        finally:
            await asyncio.to_thread(file.close)
    except (OSError, ValueError, ImportError) as error:
        raise SourceError(f"{url} can't be read: {error}") from error


def state_of(url: str) -> tuple[int | None, str]:
    """Give the size and the fingerprint that a URL's file has now; called in a thread.

    Raises:
        SourceError: It can't be asked for.
    """
    fsspec = _fsspec()
    try:
        system, path = fsspec.core.url_to_fs(url)
        # What a file system remembers would never have changed.
        system.invalidate_cache()
        return _state(system.info(path))
    except (OSError, ValueError, ImportError) as error:
        raise SourceError(f"{url} can't be read: {error}") from error


def read_range(url: str, offset: int, size: int) -> bytes:
    """Give so many bytes of a URL; called in a thread.

    Raises:
        SourceError: It can't be read, or gives no ranges.
    """
    fsspec = _fsspec()
    try:
        system, path = fsspec.core.url_to_fs(url)
        data = bytes(system.cat_file(path, start=offset, end=offset + size))
    except (OSError, ValueError, ImportError) as error:
        raise SourceError(f"{url} can't be read: {error}") from error
    if len(data) != size:
        raise SourceError(f"{url} gave {len(data)} bytes where {size} were asked for")
    return data


def _state(entry: dict[str, Any]) -> tuple[int | None, str]:
    changed = entry.get("ETag") or entry.get("mtime") or entry.get("created")
    return entry.get("size"), f"{entry.get('size')}:{changed}"


def _fsspec() -> Any:
    try:
        import fsspec  # type: ignore[import-untyped, unused-ignore]  # noqa: PLC0415 - an extra
        import fsspec.core  # noqa: PLC0415
    except ImportError:
        raise InvalidArgumentError(
            "URLs as sources need fsspec: pip install 'domo-files-async[fsspec]'"
        ) from None
    return fsspec
