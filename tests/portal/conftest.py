"""Fixtures: a house, and browsers that visit its portal."""

import pytest

from tests.portal.house import Neighbourhood


@pytest.fixture
async def neighbourhood():
    neighbourhood = Neighbourhood()
    yield neighbourhood
    await neighbourhood.close()


@pytest.fixture
def house(neighbourhood):
    return neighbourhood.house()


@pytest.fixture
async def browser(neighbourhood, house):
    return await neighbourhood.browser(house)
