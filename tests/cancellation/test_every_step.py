"""A cancel at every suspension point: prompt, clean, one abort for each multipart session."""

import itertools

import pytest

from tests.cancellation.operations import OPERATIONS
from tests.cancellation.stepping import AGAIN, MOMENTS, Steps
from tests.cancellation.world import run_cell

VARIANTS = list(itertools.product(MOMENTS, AGAIN))
NEVER = 1_000_000


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_call_can_be_cancelled_wherever_it_waits(
    world, operation, stride, record_property, caplog
):
    async def count(nth, **words):
        steps = Steps(nth, **words)
        try:
            seen = await run_cell(world, OPERATIONS[operation], steps)
        except BaseException as error:
            error.add_note(f"In the cell of {operation}, {steps}, of {steps.count} steps")
            raise
        assert seen.is_cancelled <= bool(steps.fired)
        return steps.count, seen.is_cancelled

    total, _ = await count(NEVER)
    cancelled = 0
    for turn, (moment, again) in enumerate(VARIANTS):
        first = 1 + (turn + [*OPERATIONS].index(operation)) % min(stride, total)
        # How many there are isn't the same in each run: threads are early or late.
        for nth in range(first, NEVER if stride == 1 else total + 1, stride):
            reached, is_cancelled = await count(nth, moment=moment, again=again)
            cancelled += is_cancelled
            if reached < nth:
                break
    assert cancelled
    assert not [told for told in caplog.records if told.name.startswith("domo_files_async")]
    record_property(operation, cancelled)
