"""Many files at once: where each goes, and what is removed when they are moved.

What one file is, and how it is got, copied and removed, is the file system's to say.
"""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fsspec.asyn import AsyncFileSystem, _run_coros_in_chunks, sync_wrapper
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.implementations.local import make_path_posix

from domo_files_async.fsspec.paths import is_id, target_paths

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("ManyFiles",)


class ManyFiles(AsyncFileSystem):
    """fsspec's operations on many files, right also for names without a slash."""

    async def _is_move(self, path1: str, path2: str) -> bool:
        """Whether there is a file to move, and it isn't the one that it would be moved to."""
        raise NotImplementedError

    async def _get(
        self,
        rpath: str | list[str],
        lpath: Any,
        recursive: bool = False,
        callback: Any = DEFAULT_CALLBACK,
        maxdepth: int | None = None,
        **options: Any,
    ) -> Any:
        depth: dict[str, Any] = {"recursive": recursive, "maxdepth": maxdepth}
        if not isinstance(lpath, list):
            lpath = make_path_posix(lpath)
            into = lpath.endswith("/") or await asyncio.to_thread(Path(lpath).is_dir)
            rpath, lpath = await self._pairs(rpath, lpath, into=into, **depth)
        return await super()._get(rpath, lpath, callback=callback, **depth, **options)

    async def _pairs(
        self,
        sources: str | list[str],
        target: str,
        *,
        into: bool,
        recursive: bool,
        maxdepth: int | None,
    ) -> tuple[list[str], list[str]]:
        """Find what is meant by *sources*, and say where each goes, as fsspec's documents do."""
        found = await self._expand_path(sources, recursive=recursive, maxdepth=maxdepth)
        if isinstance(sources, str) and (not recursive or maxdepth is not None):
            found = [one for one in found if is_id(one) or not await self._isdir(one)]
        return found, target_paths(sources, found, target, into=into)

    async def _copy(
        self,
        path1: str | list[str],
        path2: str | list[str],
        recursive: bool = False,
        on_error: str | None = None,
        maxdepth: int | None = None,
        **options: Any,
    ) -> None:
        depth: dict[str, Any] = {"recursive": recursive, "maxdepth": maxdepth}
        if not isinstance(path2, list):
            into = path2.endswith("/") or await self._isdir(path2)
            path1, path2 = await self._pairs(path1, path2, into=into, **depth)
        await super()._copy(path1, path2, on_error=on_error, **depth, **options)

    async def _mv(
        self,
        path1: str | list[str],
        path2: str | list[str],
        recursive: bool = False,
        maxdepth: int | None = None,
        batch_size: int | None = None,
        **_: Any,
    ) -> None:
        """Copy all, then remove what was copied: neither what came meanwhile nor what stays."""
        if not isinstance(path2, list):
            into = path2.endswith("/") or await self._isdir(path2)
            path1, path2 = await self._pairs(
                path1, path2, into=into, recursive=recursive, maxdepth=maxdepth
            )
        if not path1:
            raise IsADirectoryError(errno.EISDIR, "A directory is moved with recursive=True")
        moves = [pair for pair in zip(path1, path2, strict=True) if await self._is_move(*pair)]
        sources = [source for source, _ in moves]
        await super()._copy(sources, [target for _, target in moves], on_error="raise")
        await self._rm_files(sources, batch_size)

    mv: Callable[..., None] = sync_wrapper(_mv)

    async def _rm(
        self,
        path: str | list[str],
        recursive: bool = False,
        batch_size: int | None = None,
        maxdepth: int | None = None,
        **_: Any,
    ) -> None:
        paths = await self._expand_path(path, recursive=recursive, maxdepth=maxdepth)
        if recursive:
            # What only looks like a directory goes with the last file in it.
            paths = [one for one in paths if is_id(one) or not await self._isdir(one)]
        await self._rm_files(paths, batch_size)

    async def _rm_files(self, paths: list[str], batch_size: int | None) -> None:
        await _run_coros_in_chunks(
            [self._rm_file(one) for one in paths],
            batch_size=batch_size or self.batch_size,
            nofiles=True,
        )
