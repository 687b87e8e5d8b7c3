"""The head that an app receives is the same whether it was rendered before or is rendered anew."""

import pytest

from gateway.decision import Authenticated, Forward
from gateway.identity.principal import Principal
from gateway.policy.routes import Route
from gateway.proxy.request_head import Rendered, request_head
from gateway.request import Request, parse_authority, parse_target
from gateway.tokens.access import AccessToken

LINES = [b"\r\nAccept: ", b"*/*"]
FORWARDING = b"\r\nX-Forwarded-For: 192.0.2.1"
PRINCIPAL = Principal("alice")
TOKEN = AccessToken(PRINCIPAL, "s1", 1, 0.0, 900.0, "t1")


def asked(target: str = "/a") -> Request:
    return Request("GET", "http", parse_authority("app"), parse_target(target), {})


def forward(identity: bytes | None = b"\r\nX-Forwarded-User: alice", **changed) -> Forward:
    authenticated = None if identity is None else Authenticated(TOKEN, identity)
    fields = {"route": Route("/*", "app"), "cookie": b"a=b"} | changed
    return Forward(authenticated=authenticated, **fields)


def render(decision: Forward, rendered: Rendered | None, **changed) -> bytes:
    fields = {"request": asked(), "host": None, "forwarding": FORWARDING, "request_id": "1"}
    fields |= changed
    return request_head(lines=LINES, framing=0, decision=decision, rendered=rendered, **fields)


FIRST = forward()
OTHER_CASES = [
    pytest.param(FIRST, {"request": asked("/b?c")}, id="another target"),
    pytest.param(FIRST, {"request_id": "2"}, id="another id"),
    pytest.param(FIRST, {"host": b"upstream"}, id="another host"),
    pytest.param(FIRST, {"forwarding": b"\r\nX-Forwarded-For: 192.0.2.2"}, id="another client"),
    pytest.param(forward(b"\r\nX-Forwarded-User: bob"), {}, id="another person"),
    pytest.param(forward(None), {}, id="nobody"),
    pytest.param(forward(cookie=b""), {}, id="another cookie"),
    pytest.param(
        forward(route=Route("/a/*", "app", strip_prefix="/a")),
        {"request": asked("/a/b")},
        id="another route",
    ),
]


@pytest.mark.parametrize(("decision", "changed"), OTHER_CASES)
def test_i1_h19_nothing_rendered_for_one_request_is_sent_for_one_that_differs(decision, changed):
    rendered = Rendered()
    before = render(FIRST, rendered)

    after = render(decision, rendered, **changed)

    assert after == render(decision, None, **changed)
    assert after != before
    assert render(FIRST, rendered) == before


def test_i8_an_assertion_that_was_made_anew_is_sent_at_once():
    rendered = Rendered()
    render(FIRST, rendered)
    decision = forward()
    render(decision, rendered)

    decision.authenticated.identity_lines = b"\r\nX-Assertion: new"

    assert b"\r\nX-Assertion: new\r\n" in render(decision, rendered)
