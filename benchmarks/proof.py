"""Proof that a system does the work it is measured for: the right token passes, no other."""

import http.client
import time
from collections.abc import Callable, Mapping

from benchmarks.issuer import SUBJECT, Tokens
from benchmarks.systems.system import Site
from benchmarks.upstream import ECHO_PATH

_REFUSALS = frozenset({301, 302, 303, 307, 401, 403})


class NotProven(Exception):
    """A system let a bad token pass, refused the good one, or did not tell the app who asks."""


def check(site: Site, tokens: Tokens, headers: Callable[[str | None], Mapping[str, str]]) -> None:
    _wait_until_ready(site, headers(tokens.good))
    status, body = _ask(site, headers(tokens.good))
    if (status, body) != (200, SUBJECT):
        raise NotProven(f"good token: {status}, the app was told {body[:200]!r}")
    for kind, token in (("no", None), ("forged", tokens.forged), ("expired", tokens.expired)):
        status, body = _ask(site, headers(token))
        if status not in _REFUSALS:
            raise NotProven(f"{kind} token: {status} {body[:200]!r}")


def _wait_until_ready(site: Site, headers: Mapping[str, str]) -> None:
    """A listener may be open before its configuration is in force (Envoy's is)."""
    deadline = time.monotonic() + 10
    while _ask(site, headers)[0] >= 500 and time.monotonic() < deadline:
        time.sleep(0.1)


def _ask(site: Site, headers: Mapping[str, str]) -> tuple[int, str]:
    connection = site.connect()
    try:
        connection.request("GET", ECHO_PATH, headers=dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 599, repr(error)
    finally:
        connection.close()
