"""What another proxy is told (SECURITY I3, I9)."""

import pytest

from gateway.headers.identity import IdentityHeaders
from gateway.pipeline import Forward, Reason, Refuse
from gateway.policy.routes import Route
from gateway.proxy.forward_auth import status_and_lines

ROUTE = Route("/*", "app")
EMPTY = IdentityHeaders().render_anonymous()


@pytest.mark.parametrize(
    ("decision", "status"),
    [
        (Forward(ROUTE, None, b""), 200),
        (Refuse(401, Reason.UNAUTHENTICATED, ""), 401),
        (Refuse(403, Reason.FORBIDDEN, ""), 403),
        (Refuse(404, Reason.NO_ROUTE, ""), 403),
        (Refuse(400, Reason.AMBIGUOUS, ""), 403),
        (Refuse(503, Reason.KEYS_UNAVAILABLE, ""), 503),
        (Refuse(503, Reason.STORE_UNAVAILABLE, ""), 503),
    ],
)
def test_i9_a_no_is_a_no_and_unavailable_is_none_and_every_header_is_always_there(decision, status):
    assert status_and_lines(decision, IdentityHeaders()) == (status, EMPTY)
