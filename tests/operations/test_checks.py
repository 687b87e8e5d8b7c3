"""What readiness asks of the session room."""

import pytest

from gateway.operations.checks import feed_is_fresh, store_answers


async def test_a_store_that_answers_is_fine_and_one_that_does_not_says_why(running):
    check = store_answers(running.store)
    assert await check() is None

    running.store.down = True
    assert await check() == "down"

    running.store.down = False
    assert await check() is None


@pytest.mark.parametrize(
    ("lag", "wrong"),
    [(None, "not read yet"), (0.0, None), (10.0, None), (10.5, "10 s behind")],
)
async def test_the_revocation_feed_must_have_been_complete_lately(lag, wrong):
    assert await feed_is_fresh(lambda: lag, limit=10)() == wrong
