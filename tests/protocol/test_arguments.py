"""What callers may hand over, where no request of its own tells."""

from __future__ import annotations

import functools

import pytest

from domo_files_async.errors import InvalidArgumentError
from domo_files_async.protocol.arguments import checked_function


class Awaited:
    async def __call__(self, _): ...


async def awaited(_): ...


@pytest.mark.parametrize("good", [None, print, [].append, functools.partial(print, "x"), int])
def test_whatever_can_be_called_is_a_function(good):
    assert checked_function("progress", good) is None


@pytest.mark.parametrize("wrong", [7, "print", awaited, Awaited()])
def test_what_is_none_or_would_have_to_be_awaited_is_refused(wrong):
    with pytest.raises(InvalidArgumentError, match="progress must be a plain function"):
        checked_function("progress", wrong)
