"""Alive is not ready, and readiness names what is missing."""

import asyncio

import pytest

from gateway.operations import health
from gateway.operations.operations import Component


@pytest.mark.parametrize("path", ["/healthz", "/ping"])
async def test_a_gateway_without_its_store_is_alive(running, serve, path):
    running.wrongs["store"] = "connection refused"
    running.draining = True
    client = await serve()

    answer = await client.get(path)

    assert answer.status == 200
    assert await answer.json() == {"status": "ok"}


async def test_ready_when_every_component_is(serve):
    client = await serve()

    answer = await client.get("/readyz")

    assert answer.status == 200
    assert await answer.json() == {
        "status": "ready",
        "missing": [],
        "components": {"store": {"ok": True}, "keys": {"ok": True}},
    }


async def test_not_ready_names_what_is_missing_and_becomes_ready_again(running, serve):
    client = await serve()
    running.wrongs["store"] = "connection refused"

    answer = await client.get("/readyz")

    assert answer.status == 503
    body = await answer.json()
    assert body["status"] == "not ready"
    assert body["missing"] == ["store"]
    assert body["components"]["store"] == {
        "ok": False,
        "detail": "connection refused",
        "required": True,
    }
    assert body["components"]["keys"] == {"ok": True}

    running.wrongs["store"] = None
    assert (await client.get("/readyz")).status == 200


async def test_while_draining_it_is_not_ready_though_nothing_is_missing(running, serve):
    running.draining = True
    client = await serve()

    answer = await client.get("/readyz")

    assert answer.status == 503
    body = await answer.json()
    assert (body["status"], body["missing"]) == ("draining", [])


async def test_what_is_not_required_is_shown_and_does_not_matter(running, serve):
    running.wrongs["upstreams"] = "app: connection refused"
    running.components = {"upstreams": running.component("upstreams", required=False)}
    client = await serve()

    answer = await client.get("/readyz")

    assert answer.status == 200
    shown = (await answer.json())["components"]["upstreams"]
    assert shown == {"ok": False, "detail": "app: connection refused", "required": False}


async def test_a_check_that_hangs_is_a_no(running, serve, monkeypatch):
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.01)

    async def never() -> str | None:
        await asyncio.Event().wait()
        return None

    running.components = {"store": Component(never)}
    client = await serve()

    answer = await client.get("/readyz")

    assert answer.status == 503
    assert (await answer.json())["components"]["store"]["detail"] == "no answer within 0.01 s"


async def test_a_check_that_fails_is_a_no_and_in_the_log(running, serve, caplog):
    async def broken() -> str | None:
        raise ZeroDivisionError

    running.components = {"store": Component(broken)}
    client = await serve()

    answer = await client.get("/readyz")

    assert answer.status == 503
    assert "ZeroDivisionError" in caplog.text
    assert "ZeroDivisionError" not in await answer.text()
