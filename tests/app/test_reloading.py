"""A new configuration takes the place of the old one as a whole, or not at all (SECURITY R7)."""

import asyncio
import logging

import pytest
import yaml

from gateway.app.gateway import running
from gateway.app.restart import needs_restart
from gateway.observability.audit import AuditKind
from tests.app.conftest import HASH, Browser


@pytest.fixture
async def browsers():
    opened = []

    async def open_one(gateway):
        opened.append(await Browser.open(gateway.port))
        return opened[-1]

    yield open_one
    for browser in opened:
        browser.close()


def told(caplog):
    return [r.message for r in caplog.records if r.name == "gateway.audit"]


def last_reload(gateway):
    text = gateway.operating.own_metrics()
    (line,) = [x for x in text.splitlines() if x.startswith("gateway_config_last_reload_success ")]
    return float(line.split(" ")[1])


async def test_new_routes_hold_from_the_next_request_on_also_on_open_connections(
    site, browsers, caplog
):
    async with site.running() as gateway:
        browser = await browsers(gateway)
        assert (await browser.ask("/private")).status == 401

        site.write(routes=[{"path": "/*", "upstream": "app", "access": "public"}])
        assert await gateway.reload() == []

        assert (await browser.ask("/private")).status == 200
        assert told(caplog)[-1] == AuditKind.CONFIG_RELOADED.value
        assert last_reload(gateway) == 1


def measured(gateway, name):
    text = gateway.operating.own_metrics()
    found = [line.rpartition(" ") for line in text.splitlines() if line.startswith(name)]
    return {sample.removeprefix(name): float(value) for sample, _, value in found}


async def test_the_time_of_the_last_good_reload_is_told(site):
    name = "gateway_config_last_reload_success_timestamp_seconds"
    async with site.running() as gateway:
        before = measured(gateway, name)[""]
        site.write(routes=[{"path": "/*", "upstream": "nowhere"}])
        assert await gateway.reload() != []
        assert measured(gateway, name)[""] == before

        site.write(routes=[{"path": "/*", "upstream": "app", "access": "public"}])
        assert await gateway.reload() == []
        assert measured(gateway, name)[""] > before


async def test_upstreams_are_measured_target_by_target(site, browsers):
    port = site.upstream.port
    socket = site.folder / "nobody.sock"
    targets = [f"http://127.0.0.1:{port}", f"unix:{socket}", f"unix:{site.folder / 'none.sock'}"]
    site.write(upstreams={"app": targets})
    async with site.running() as gateway:
        browser = await browsers(gateway)
        for _ in range(9):
            assert (await browser.ask("/open/x")).status == 200

        names = [f'{{target="{each}",upstream="app"}}' for each in (f"127.0.0.1:{port}", *targets)]
        names.pop(1)
        up = measured(gateway, "gateway_upstream_target_up")
        assert up == dict(zip(names, [1.0, 0.0, 0.0], strict=True))
        out = measured(gateway, "gateway_upstream_ejections_total")
        assert out == dict(zip(names, [0.0, 1.0, 1.0], strict=True))
        assert measured(gateway, "gateway_upstream_connections") == {'{upstream="app"}': 1.0}
        assert measured(gateway, "gateway_upstream_queue") == {'{upstream="app"}': 0.0}


async def test_a_bad_file_is_refused_with_every_problem_and_the_old_one_goes_on(
    site, browsers, caplog
):
    async with site.running() as gateway:
        browser = await browsers(gateway)
        site.write(routes=[{"path": "/*", "upstream": "nowhere"}], workers="many")

        problems = await gateway.reload()

        assert len(problems) == 2
        assert "routes[0].upstream" in problems[0] + problems[1]
        assert (await browser.ask("/open/x")).status == 200
        assert told(caplog)[-1] == AuditKind.CONFIG_REFUSED.value
        assert last_reload(gateway) == 0

        site.write(routes=[{"path": "/*", "upstream": "app", "access": "public"}], workers=1)
        assert await gateway.reload() == []
        assert last_reload(gateway) == 1


async def test_what_needs_a_restart_is_named_and_nothing_of_the_rest_is_applied(site, browsers):
    async with site.running() as gateway:
        browser = await browsers(gateway)
        site.write(
            listen="127.0.0.1:1",
            routes=[{"path": "/*", "upstream": "app", "access": "public"}],
        )

        assert await gateway.reload() == [
            "listen: 127.0.0.1:0 became 127.0.0.1:1, which needs a restart"
        ]
        assert (await browser.ask("/private")).status == 401


def test_each_setting_that_only_a_restart_can_change_is_noticed(site):
    before = site.source.read()
    site.write(
        listen="127.0.0.1:1",
        operations="127.0.0.1:2",
        sessions={"store": "sqlite:///other.db"},
        workers=2,
        proxy_protocol=True,
        trusted_proxies=["127.0.0.1"],
    )

    named = [said.partition(":")[0] for said in needs_restart(before, site.source.read())]

    assert named == ["listen", "proxy_protocol", "workers", "sessions.store", "operations"]
    assert needs_restart(before, before) == []


async def test_keys_that_cannot_be_read_refuse_the_reload_and_leave_everything_as_it_was(
    site, browsers, tmp_path
):
    async with site.running() as gateway:
        browser = await browsers(gateway)
        await browser.sign_in()
        (tmp_path / "no folder").write_text("")
        site.write(tokens={"keys": str(tmp_path / "no folder")})

        (problem,) = await gateway.reload()

        assert "no folder" in problem
        assert (await browser.ask("/private")).status == 200


async def test_nobody_is_signed_out_by_a_reload_and_its_sign_out_is_seen_at_once(site, browsers):
    async with site.running() as gateway:
        browser = await browsers(gateway)
        await browser.sign_in()
        before = gateway.generation.sign_in
        site.write(limits={"drain": "6s"}, tokens={**site.sections["tokens"], "audience": "me"})
        site.write(auth={"registration": False})

        assert await gateway.reload() == []

        # A new audience: the access token is renewed on the way, the session goes on.
        answer = await browser.ask("/private")
        assert answer.status == 200
        assert "Set-Cookie: accessToken=" in answer.head
        after = gateway.generation.sign_in
        assert (after.keys, after.lifecycle, after.directory) == (
            before.keys,
            before.lifecycle,
            before.directory,
        )
        stolen = dict(browser.cookies)
        assert (await browser.ask("/api/v1/auth/logout", method="POST")).status == 200
        browser.cookies = stolen
        assert (await browser.ask("/private")).status == 401


async def test_i1_a_header_that_a_new_configuration_makes_ours_is_stripped_on_open_connections(
    site, browsers
):
    async with site.running() as gateway:
        browser = await browsers(gateway)
        await browser.ask("/open/x", "X-Who: mallory")
        assert site.upstream.bytes_received.count(b"mallory") == 1
        site.write(headers={"user": "X-Who"})

        assert await gateway.reload() == []
        another = await browsers(gateway)
        for each in (browser, another):
            assert (await each.ask("/open/x", "X-Who: mallory")).status == 200

        assert site.upstream.bytes_received.count(b"mallory") == 1


async def test_an_upstream_that_stays_keeps_its_warm_connections(site, browsers):
    async with site.running() as gateway:
        browser = await browsers(gateway)
        await browser.ask("/open/x")
        pool = gateway.generation.plane.upstreams["app"]
        site.write(routes=[{"path": "/*", "upstream": "app", "access": "public"}])

        await gateway.reload()
        await browser.ask("/x")

        assert gateway.generation.plane.upstreams["app"] is pool
        assert len(site.upstream.received) == 1


async def test_a_request_under_way_ends_where_it_began_though_its_upstream_is_gone(site, browsers):
    async with site.running() as gateway:
        browser = await browsers(gateway)
        site.upstream.answer = lambda _head: None
        browser.begin("/open/slow")
        await site.upstream.until(lambda: b"/open/slow" in site.upstream.bytes_received)

        # Port 1: nobody answers there.
        site.write(upstreams={"app": "http://127.0.0.1:1"})
        assert await gateway.reload() == []
        site.upstream.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")

        assert (await browser.answer()).body == "slow"
        assert (await browser.ask("/open/x")).status == 502


async def test_users_of_a_new_place_can_sign_in_and_those_of_the_old_one_cannot(
    site, browsers, tmp_path
):
    async with site.running() as gateway:
        browser = await browsers(gateway)
        (tmp_path / "others.yaml").write_text(
            yaml.safe_dump({"users": {"bob": {"password": HASH}}})
        )
        site.write(login=[{"users": "others.yaml"}])

        assert await gateway.reload() == []

        assert (await browser.sign_in()).status == 401


async def test_no_request_is_lost_or_answered_by_a_mixture_while_configurations_alternate(
    site, browsers
):
    """Every answer is whole, and what one of the two configurations says."""
    old = [{"path": "/*", "upstream": "app", "access": "public"}]
    new = [{"path": "/only/*", "upstream": "app", "access": "public"}]
    site.write(routes=old)
    async with site.running() as gateway:
        stop = asyncio.Event()
        statuses = []

        async def ask_on_and_on():
            browser = await browsers(gateway)
            while not stop.is_set():
                statuses.append((await browser.ask("/x")).status)

        clients = [asyncio.ensure_future(ask_on_and_on()) for _ in range(8)]
        for routes in [new, old] * 10:
            site.write(routes=routes)
            assert await gateway.reload() == []
            before = len(statuses)
            while len(statuses) < before + 20:
                await asyncio.sleep(0)
        stop.set()
        await asyncio.gather(*clients)

        assert set(statuses) == {200, 404}
        assert len(statuses) > 400


async def test_a_change_of_the_file_reloads_by_itself(site, browsers):
    async with site.running() as gateway:
        browser = await browsers(gateway)
        before = gateway.generation
        site.write(routes=[{"path": "/*", "upstream": "app", "access": "public"}])

        async with asyncio.timeout(10):
            while gateway.generation is before:
                await asyncio.sleep(0.05)

        assert (await browser.ask("/private")).status == 200


async def test_a_gateway_that_is_about_to_stop_reloads_nothing(site):
    async with site.running() as gateway:
        await gateway.drain()

        assert await gateway.reload() == ["the gateway is about to stop"]


async def test_the_log_level_follows(site):
    async with site.running() as gateway:
        assert logging.getLogger().level == logging.ERROR
        site.write(log={"level": "debug", "access": True})
        await gateway.reload()
        assert logging.getLogger().level == logging.DEBUG
    logging.getLogger().setLevel(logging.WARNING)


async def test_a_change_between_reading_and_watching_is_not_missed(site, browsers):
    config = site.source.read()
    site.write(routes=[{"path": "/*", "upstream": "app", "access": "public"}])

    async with running(config, source=site.source) as gateway:
        browser = await browsers(gateway)
        async with asyncio.timeout(5):
            while (await browser.ask("/private")).status != 200:
                await asyncio.sleep(0.02)


async def test_a_start_that_missed_nothing_reloads_nothing(site, caplog):
    async with site.running() as gateway:
        await asyncio.sleep(0)
        tasks = gateway.foundation.tasks
        async with asyncio.timeout(5):
            await gateway.reloading._catch_up()
        assert "reload" not in {task.get_name() for task in tasks._running}
    assert told(caplog) == []


async def test_what_is_known_of_a_server_outlives_a_change_of_its_upstream(site):
    first, second, third = (f"http://127.0.0.1:{port}" for port in (1, 2, 3))
    health = {"path": "/", "interval": "1h", "timeout": "1h"}
    site.write(upstreams={"app": {"targets": [first, second], "health": health}})
    async with site.running() as gateway:
        before = gateway.generation.plane.upstreams["app"]
        async with asyncio.timeout(5):
            while any(target.healthy for target in before.targets):
                await asyncio.sleep(0.01)
        before.targets[0].failures, before.targets[0].ejections = 7, 2
        before.targets[0].ejected_until = until = before.deadlines.now + 100

        site.write(upstreams={"app": {"targets": [third, first], "health": health}})
        assert await gateway.reload() == []
        new, known = gateway.generation.plane.upstreams["app"].targets
        assert (known.failures, known.ejections, known.ejected_until) == (7, 2, until)
        assert not known.healthy
        assert new.failures == new.ejections == 0

        site.write(upstreams={"app": [third, first]})
        assert await gateway.reload() == []
        _, known = gateway.generation.plane.upstreams["app"].targets
        assert known.failures == 7
        assert known.healthy, "nobody would ever ask it again"
