"""The same job on a Dask cluster: one plan, one journal, one budget; workers send the items."""

from __future__ import annotations

from domo_files_async.dask.job import run_on_dask

__all__ = ("run_on_dask",)
