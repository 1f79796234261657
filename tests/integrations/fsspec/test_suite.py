"""fsspec's own tests of file systems, all of them; nothing is left out.

Two of their fixtures say how this file system is: paths are joined by slashes on any system, and
there are no empty directories, since a directory is only a slash in a data file's name.
"""

from __future__ import annotations

import posixpath

import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.tests import abstract


class DomoFixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs(self, domo):
        return domo

    @pytest.fixture
    def fs_join(self):
        return posixpath.join

    @pytest.fixture
    def fs_path(self):
        return "tests"

    @pytest.fixture
    def local_fs(self):
        return LocalFileSystem(auto_mkdir=True)

    @pytest.fixture
    def supports_empty_directories(self):
        return False


class TestCopy(abstract.AbstractCopyTests, DomoFixtures):
    pass


class TestGet(abstract.AbstractGetTests, DomoFixtures):
    pass


class TestPut(abstract.AbstractPutTests, DomoFixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, DomoFixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, DomoFixtures):
    pass
