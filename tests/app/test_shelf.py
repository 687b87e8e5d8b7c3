"""What a reload keeps is the very same; what it has no use for is closed."""

import pytest

from gateway.app.shelf import Shelf


class Workshop:
    """Builds things, and notes which were closed."""

    def __init__(self):
        self.built = []
        self.closed = []

    def maker(self, name):
        async def make(closing):
            self.built.append(name)
            closing.callback(self.closed.append, name)
            return [name]

        return make


@pytest.fixture
def workshop():
    return Workshop()


async def in_force(shelf, workshop, *names):
    draft = shelf.draft()
    things = [await draft.take(name, workshop.maker(name)) for name in names]
    return things, shelf.commit(draft)


async def test_what_is_asked_for_again_is_the_very_same_thing(workshop):
    shelf = Shelf()
    (first, _), _ = await in_force(shelf, workshop, "keys", "pool")

    (second, _), left = await in_force(shelf, workshop, "keys", "another pool")
    await left.aclose()

    assert first is second
    assert workshop.built == ["keys", "pool", "another pool"]
    assert workshop.closed == ["pool"]


async def test_a_draft_changes_nothing_until_it_is_committed(workshop):
    shelf = Shelf()
    (first,), _ = await in_force(shelf, workshop, "keys")

    draft = shelf.draft()
    await draft.take("keys", workshop.maker("keys"))
    await draft.take("other", workshop.maker("other"))
    await draft.abandon()

    assert workshop.closed == ["other"]
    (again,), _ = await in_force(shelf, workshop, "keys")
    assert again is first


async def test_what_fails_half_way_is_closed_and_not_kept(workshop):
    shelf = Shelf()
    draft = shelf.draft()

    async def fail(closing):
        closing.callback(workshop.closed.append, "half")
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await draft.take("pool", fail)

    assert workshop.closed == ["half"]
    assert await draft.take("pool", workshop.maker("pool")) == ["pool"]


async def test_everything_is_closed_at_the_end_last_built_first(workshop):
    shelf = Shelf()
    await in_force(shelf, workshop, "a", "b", "c")

    await shelf.close()

    assert workshop.closed == ["c", "b", "a"]
