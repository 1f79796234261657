"""Domo as a file system for fsspec: `domo://401` by id, `domo://orders.csv` by name.

No credential is an option of it, so that none is pickled or written into a configuration.
"""

from domo_files_async.fsspec.files import DomoFile, DomoStreamedFile
from domo_files_async.fsspec.filesystem import DomoFileSystem

__all__ = ("DomoFile", "DomoFileSystem", "DomoStreamedFile")
