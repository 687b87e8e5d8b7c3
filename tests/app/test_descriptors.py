"""As many files may be open as the configuration can need (H16), or somebody is told."""

import resource
from dataclasses import replace

import pytest

from gateway.app.descriptors import make_room, wanted


@pytest.fixture
def allowed():
    """Lets a test lower what this process may open; the hard limit can not be raised again."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def lower(soft: int) -> int:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
        return before[1]

    yield lower
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def soft() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


async def test_h16_a_gateway_may_open_what_its_limits_allow(site, allowed):
    allowed(512)
    site.write(limits={"connections": 700, "upstream_connections": 40})

    async with site.running() as gateway:
        assert soft() == wanted(gateway.generation.config.limits, 1) > 740

        site.write(limits={"connections": 900, "upstream_connections": 40})
        assert await gateway.reload() == []
        assert soft() == wanted(gateway.generation.config.limits, 1) > 940


async def test_what_is_enough_stays_as_it_is(site, allowed):
    allowed(2000)
    site.write(limits={"connections": 700, "upstream_connections": 40})

    async with site.running():
        assert soft() == 2000


def test_where_the_system_allows_less_it_is_all_taken_and_told(site, allowed):
    hard = allowed(512)
    limits = replace(site.source.read().limits, connections=hard, upstream_connections=40)

    told = make_room(limits, 2)

    assert soft() == hard
    assert told is not None
    assert f"limits.connections is {hard}" in told
    assert f"{hard + 2 * 40 + 512} files may be open, but the system allows {hard}" in told
