"""Programs tell the failures of the operations port apart as they do those of every other door."""

import json

import pytest
from yarl import URL

from gateway.operations.answers import problem


def test_a_problem_is_rfc_9457_without_a_charset():
    answer = problem(404, "No such session is alive.", "no-session", errors=["more"])

    assert answer.headers["Content-Type"] == "application/problem+json"
    assert json.loads(answer.body) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "No such session is alive.",
        "code": "no-session",
        "errors": ["more"],
    }


@pytest.mark.parametrize(
    ("method", "path", "headers", "code"),
    [
        ("GET", "/nowhere", {}, "no-route"),
        ("GET", "/%68ealthz", {}, "no-route"),
        ("PUT", "/sessions", {}, "method-not-allowed"),
        ("GET", "/sessions", {}, "malformed"),
        ("DELETE", "/sessions", {}, "malformed"),
        ("DELETE", "/sessions/AAAA", {}, "no-session"),
        ("GET", "/sessions?user=alice", {"Host": "evil.example"}, "misdirected-request"),
        ("DELETE", "/sessions/AAAA", {"Origin": "null"}, "cross-site"),
        ("POST", "/reload", {}, "config-refused"),
    ],
)
async def test_each_failure_has_a_code(serve, method, path, headers, code):
    async def reload() -> list[str]:
        return ["config.yaml:3:5: wat"]

    client = await serve(reload=reload)

    answer = await client.request(method, URL(path, encoded=True), headers=headers)

    assert (await answer.json())["code"] == code


async def test_a_store_that_is_down_has_one(running, serve):
    client = await serve()
    running.store.down = True

    answer = await client.get("/sessions?user=alice")

    assert (await answer.json())["code"] == "store-unavailable"


async def test_a_fault_of_ours_has_one(serve):
    def broken():
        raise RuntimeError

    client = await serve(sessions=broken)

    answer = await client.get("/sessions?user=alice")

    assert (await answer.json())["code"] == "error"
