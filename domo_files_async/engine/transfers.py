"""One transfer, as observers see it: begun, then finished or failed."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from domo_files_async.events import TransferFailed, TransferFinished, TransferStarted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from domo_files_async.engine.shared import Shared
    from domo_files_async.models import DownloadResult, UploadResult

__all__ = ("Transfer",)


class Transfer:
    """Numbers a transfer, takes its time and tells of it.

    Attributes:
        number: In all events of it.
        began: The loop's time when it was asked for.
    """

    def __init__(self, shared: Shared, kind: Literal["upload", "download"]) -> None:
        self.number = shared.next_transfer()
        self.began = asyncio.get_running_loop().time()
        self._shared = shared
        self._kind = kind

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return asyncio.get_running_loop().time() - self.began

    @contextmanager
    def told(self, name: str, size: int | None) -> Iterator[None]:
        """Say that it begins, and when an error ends it."""
        emit, number = self._shared.emit, self.number
        emit(TransferStarted(kind=self._kind, name=name, size=size, transfer=number))
        try:
            yield
        except BaseException as error:
            emit(
                TransferFailed(kind=self._kind, error=error, elapsed=self.elapsed, transfer=number)
            )
            raise

    def finish(self, result: UploadResult | DownloadResult) -> None:
        """Say what came of it."""
        self._shared.emit(
            TransferFinished(
                kind=self._kind,
                data_file_id=result.data_file_id,
                revision_id=result.revision_id,
                size=result.size_bytes,
                elapsed=result.elapsed,
                transfer=self.number,
            )
        )
