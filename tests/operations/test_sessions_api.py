"""Operators see and end sessions, and the audit log says so."""

import pytest

from gateway.observability.audit import AuditKind
from gateway.sessions.session import session_hash
from tests.sessions.examples import ALICE, LAPTOP


async def test_the_sessions_of_a_user_are_listed_with_what_one_knows_them_by(running, serve):
    grant = await running.lifecycle.start(ALICE, LAPTOP)
    client = await serve()

    answer = await client.get("/sessions?user=alice")

    assert answer.status == 200
    assert await answer.json() == {
        "user": "alice",
        "sessions": [
            {
                "id": grant.session.id,
                "logged_as": session_hash(grant.session.id),
                "provider": "users",
                "created": "2027-01-15T08:00:00Z",
                "last_seen": "2027-01-15T08:00:00Z",
                "expires": "2027-01-22T08:00:00Z",
                "user_agent": "Mozilla/5.0 (X11; Linux x86_64)",
                "address": "192.0.2.7",
            }
        ],
    }


async def test_a_list_shows_nothing_that_opens_a_session(running, serve):
    grant = await running.lifecycle.start(ALICE, LAPTOP)
    client = await serve()

    text = await (await client.get("/sessions?user=alice")).text()

    assert grant.refresh_token is not None
    assert grant.refresh_token.rpartition(".")[2] not in text


async def test_one_session_ends_and_the_others_stay(running, serve):
    one = await running.lifecycle.start(ALICE, LAPTOP)
    other = await running.lifecycle.start(ALICE, LAPTOP)
    client = await serve()

    answer = await client.delete(f"/sessions/{one.session.id}")

    assert answer.status == 204
    assert [s.id for s in await running.lifecycle.list("alice")] == [other.session.id]
    (event,) = running.events
    assert (event.kind, event.outcome, event.count) == (AuditKind.SESSION_ENDED, "operator", 1)
    assert event.session == session_hash(one.session.id)
    assert event.client == "127.0.0.1"


async def test_a_session_ends_once(running, serve):
    grant = await running.lifecycle.start(ALICE, LAPTOP)
    client = await serve()

    first = await client.delete(f"/sessions/{grant.session.id}")
    second = await client.delete(f"/sessions/{grant.session.id}")

    assert (first.status, second.status) == (204, 404)
    assert len(running.events) == 1


async def test_all_sessions_of_a_user_end_at_once(running, serve):
    for _ in range(3):
        await running.lifecycle.start(ALICE, LAPTOP)
    client = await serve()

    answer = await client.delete("/sessions?user=alice")

    assert answer.status == 200
    assert await answer.json() == {"user": "alice", "ended": 3}
    assert await running.lifecycle.list("alice") == []
    assert [(event.user, event.count) for event in running.events] == [("alice", 3)]


async def test_a_user_without_sessions_has_none(serve):
    client = await serve()

    assert await (await client.get("/sessions?user=bob")).json() == {"user": "bob", "sessions": []}
    assert await (await client.delete("/sessions?user=bob")).json() == {"user": "bob", "ended": 0}


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("query", ["", "?user=", "?user=alice&user=bob", "?name=alice"])
async def test_without_exactly_one_user_nothing_happens(running, serve, method, query):
    await running.lifecycle.start(ALICE, LAPTOP)
    client = await serve()

    answer = await client.request(method, f"/sessions{query}")

    assert answer.status == 400
    assert len(await running.lifecycle.list("alice")) == 1
    assert running.events == []


async def test_a_user_is_found_by_any_spelling_of_the_name(running, serve):
    await running.lifecycle.start(ALICE, LAPTOP)
    client = await serve(subject=str.casefold)

    answer = await client.delete("/sessions?user=Alice")

    assert await answer.json() == {"user": "alice", "ended": 1}
