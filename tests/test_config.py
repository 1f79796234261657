import math

import attrs
import pytest

from domo_files_async import InvalidArgumentError, RetryPolicy, Timeouts, TransferConfig
from domo_files_async.emulator import Emulator


@pytest.mark.parametrize(
    ("cls", "arguments"),
    [
        (TransferConfig, {"max_concurrency": 0}),
        (TransferConfig, {"max_concurrency": True}),
        (TransferConfig, {"part_size": 0}),
        (TransferConfig, {"part_size": 1.5}),
        (TransferConfig, {"multipart_threshold": -1}),
        (TransferConfig, {"memory_budget": 1024}),
        (TransferConfig, {"adaptive": 1}),
        (TransferConfig, {"max_upload_bytes_per_second": 0}),
        (RetryPolicy, {"max_attempts": 0}),
        (RetryPolicy, {"initial_backoff": -1}),
        (RetryPolicy, {"max_backoff": "1"}),
        (RetryPolicy, {"jitter": 1.5}),
        (RetryPolicy, {"budget": float("nan")}),
        (RetryPolicy, {"max_retry_after": None}),
        (Timeouts, {"connect": 0}),
        (Timeouts, {"stall": -1}),
        (Timeouts, {"stall": 10**400}),
        (Timeouts, {"connect": float("inf")}),
        (Timeouts, {"connect": 10**400}),
        (RetryPolicy, {"initial_backoff": float("inf")}),
        (RetryPolicy, {"budget": 10**400}),
        (TransferConfig, {"max_upload_bytes_per_second": float("inf")}),
    ],
)
def test_what_cannot_be_right_is_refused_by_its_name(cls, arguments):
    with pytest.raises(InvalidArgumentError, match=next(iter(arguments))):
        cls(**arguments)


async def test_what_has_no_end_may_be_said_to_have_none():
    policy = RetryPolicy(
        initial_backoff=0.001, max_backoff=math.inf, budget=math.inf, max_retry_after=math.inf
    )
    async with (
        Emulator() as emulator,
        emulator.session("ada", retry=policy, timeouts=Timeouts(stall=math.inf)) as domo,
    ):
        emulator.faults.add("upload_file", status=429, headers={"Retry-After": "0"})
        emulator.faults.add("list_files", status=503, times=2)
        data_file_id = await domo.upload_file(b"x", name="x")
        assert [file.data_file_id for file in await domo.list_files()] == [data_file_id]
        assert not emulator.faults.pending


@pytest.mark.parametrize("cls", [TransferConfig, RetryPolicy, Timeouts])
def test_defaults_are_right_and_frozen(cls):
    made = cls()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(made, attrs.fields(cls)[0].name, 5)


def test_the_documented_defaults():
    config, policy, timeouts = TransferConfig(), RetryPolicy(), Timeouts()
    assert (config.max_concurrency, config.part_size, config.adaptive) == (32, None, True)
    assert (config.multipart_threshold, config.memory_budget) == (16 << 20, 64 << 20)
    assert (policy.max_attempts, policy.max_retry_after) == (5, 300)
    assert (timeouts.connect, timeouts.stall) == (30, 60)
