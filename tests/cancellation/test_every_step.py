"""A cancel at every suspension point: prompt, clean, one abort for each multipart session."""

import itertools

import pytest

from tests.cancellation.operations import OPERATIONS
from tests.cancellation.stepping import AGAIN, MOMENTS, Steps
from tests.cancellation.world import run_cell

VARIANTS = list(itertools.product(MOMENTS, AGAIN))
NEVER = 1_000_000

CLOSED = "is closed: open another one"


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
    told = [one.getMessage() for one in caplog.records if one.name.startswith("domo_files_async")]
    # The end of one that is cancelled again may come when its journal is closed already: that is
    # told, and what the journal still has is cleared up by the next run.
    assert not [one for one in told if not one.endswith(CLOSED)]
    record_property(operation, cancelled)
