"""Dask changes how all errors of its process are pickled; the other tests' errors stay as they are."""

from __future__ import annotations

import copyreg

before = dict(copyreg.dispatch_table)
import distributed  # noqa: E402, F401 - it is loaded for what it changes

copyreg.dispatch_table.clear()
copyreg.dispatch_table.update(before)
