"""What one worker tells is in the boxes of all others, and in time."""

import asyncio
from contextlib import suppress

import pytest

from gateway.counts import OwnCounts
from gateway.portal.elsewhere import Told
from gateway.workers.post import Post, open_box


@pytest.fixture
def boxes():
    opened = [open_box() for _ in range(3)]
    yield opened
    for box in opened:
        box.close()


@pytest.fixture
def posts(boxes):
    return [
        Post(box.reading, [other.writing for other in boxes if other is not box], OwnCounts())
        for box in boxes
    ]


def test_every_other_has_it_as_soon_as_it_is_told(posts):
    posts[0].tell(Told.FAILED, "account", "192.0.2.1")
    posts[1].tell(Told.REGISTERING, "")

    assert list(posts[2].heard()) == [["failed", "account", "192.0.2.1"], ["registering", ""]]
    assert list(posts[1].heard()) == [["failed", "account", "192.0.2.1"]]
    assert list(posts[0].heard()) == [["registering", ""]]
    assert list(posts[0].heard()) == []


def test_one_that_reads_nothing_keeps_nobody_from_hearing(posts):
    for number in range(5000):
        posts[0].tell(Told.OVER, str(number), "192.0.2.1")
        assert list(posts[1].heard()) == [["over", str(number), "192.0.2.1"]]

    assert [said[1] for said in posts[2].heard()][:3] == ["0", "1", "2"]
    posts[0].tell(Told.OVER, "and again", "")
    assert list(posts[2].heard()) == [["over", "and again", ""]]


def test_who_is_alone_tells_nobody_and_one_that_is_gone_harms_nobody(boxes):
    alone = Post(boxes[0].reading, [], OwnCounts())
    alone.tell(Told.OVER, "account", "")
    assert list(alone.heard()) == []

    left = Post(boxes[0].reading, [boxes[1].writing], OwnCounts())
    boxes[1].reading.close()
    left.tell(Told.OVER, "account", "")


async def test_a_message_wakes_who_has_nothing_to_decide(boxes, posts):
    heard = asyncio.Event()
    posts[1].on_message(heard.set)
    try:
        posts[0].tell(Told.OVER, "account", "")
        await asyncio.wait_for(heard.wait(), 5)
    finally:
        with suppress(ValueError):
            asyncio.get_running_loop().remove_reader(boxes[1].reading.fileno())
