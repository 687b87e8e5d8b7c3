"""What becomes of each header field that crosses the gateway.

A field is judged once by its raw spelling and the verdict is kept in a bounded table, so that the
data plane looks bytes up instead of lower-casing every name of every request. Strip first, add
after: what a client sent can neither pose as, nor remove, a field that the gateway sets.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple


class Field(NamedTuple):
    """What to do with a field: *line* begins the line that goes on, *noted* names what to keep.

    *line* is `\\r\\nName: `, so that the value alone is missing; None keeps the field here. *noted*
    is the lower-case name of a field that decisions look at.
    """

    line: bytes | None
    noted: str | None


DROPPED = Field(None, None)

# RFC 9110 §7.6.1, and fields that mean something to one hop only.
HOP_BY_HOP = frozenset(
    {
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding"),
        *("upgrade", "proxy-authorization", "proxy-authenticate", "http2-settings"),
    }
)

# What proxies say of the client. Rebuilt as a set, so that none passes by omission (SECURITY I5);
# `Proxy` would set HTTP_PROXY in CGI programs (CVE-2016-5385).
_FORWARDING = (
    *("forwarded", "x-forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"),
    *("x-forwarded-port", "x-forwarded-prefix", "x-forwarded-server", "x-forwarded-scheme"),
    *("x-forwarded-ssl", "x-forwarded-method", "x-forwarded-uri", "x-real-ip", "x-client-ip"),
    *("x-original-url", "x-original-uri", "x-original-method", "x-rewrite-url", "x-request-id"),
    *("x-original-host", "true-client-ip", "x-cluster-client-ip", "x-scheme", "front-end-https"),
    *("x-url-scheme", "x-forwarded-by", "proxy"),
)

# Read by the gateway before they are dropped, from trusted peers only.
_NOTED_AND_DROPPED = frozenset(
    {
        *("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port"),
        *("x-forwarded-method", "x-forwarded-uri", "x-original-url", "x-original-uri"),
        *("x-original-method", "x-request-id", "connection", "transfer-encoding", "upgrade"),
        *("content-length", "cookie", "expect", "host", "http2-settings", "te"),
    }
)
_NOTED_AND_FORWARDED = frozenset(
    {
        *("accept", "origin", "sec-fetch-mode", "sec-fetch-site", "sec-fetch-dest", "sec-purpose"),
        *("purpose", "x-requested-with", "access-control-request-method", "user-agent", "referer"),
        *("authorization", "sec-websocket-key", "sec-websocket-version", "via"),
    }
)
# Two of these leave the meaning of a request to chance.
SINGLE = frozenset(
    {"host", "content-length", "transfer-encoding", "authorization", "origin", "expect"}
)

_KEPT_VERDICTS = 4096
_KEPT_LENGTH = 64
_NOT_ALPHANUMERIC = re.compile(rb"[^a-z0-9]")


def folded(name: bytes) -> bytes:
    """Return *name* as the laxest server would read it: CGI folds every other byte to one."""
    return _NOT_ALPHANUMERIC.sub(b"-", name.lower())


class RequestFields:
    """Judges the fields that clients send, given the names the gateway itself sets."""

    def __init__(self, identity_names: Iterable[str]) -> None:
        self._protected = frozenset(
            folded(name.encode())
            for name in (*_FORWARDING, *HOP_BY_HOP, *_NOTED_AND_DROPPED, *identity_names)
        )
        self.known: dict[bytes, Field] = {}

    def judge(self, name: bytes) -> Field:
        """Return what becomes of the field called *name*, and remember it for the next request."""
        verdict = self._judge(name)
        _keep(self.known, name, verdict)
        return verdict

    def _judge(self, raw: bytes) -> Field:
        name = raw.decode("latin-1").lower()
        if name in _NOTED_AND_DROPPED:
            return Field(None, name)
        # CGI and WSGI read X_Remote_User as X-Remote-User (CVE-2025-64484): no underscore passes.
        if folded(raw) in self._protected or b"_" in raw:
            return DROPPED
        return Field(_line(raw), name if name in _NOTED_AND_FORWARDED else None)


class ResponseFields:
    """Judges the fields that upstreams send."""

    _NOTED_AND_DROPPED = frozenset(
        {"connection", "content-length", "transfer-encoding", "upgrade", "set-cookie"}
    )
    _NOTED_AND_FORWARDED = frozenset({"cache-control", "content-type", "date", "vary"})

    def __init__(self) -> None:
        self.known: dict[bytes, Field] = {}

    def judge(self, name: bytes) -> Field:
        """Return what becomes of the field called *name*, and remember it for the next answer."""
        lowered = name.decode("latin-1").lower()
        if lowered in self._NOTED_AND_DROPPED:
            verdict = Field(None, lowered)
        elif lowered in HOP_BY_HOP:
            verdict = DROPPED
        else:
            noted = lowered if lowered in self._NOTED_AND_FORWARDED else None
            verdict = Field(_line(name), noted)
        _keep(self.known, name, verdict)
        return verdict


def _keep(known: dict[bytes, Field], name: bytes, verdict: Field) -> None:
    """Remember *verdict*. A full table is emptied, or a flood would keep usual names out."""
    if len(name) > _KEPT_LENGTH:
        return
    if len(known) >= _KEPT_VERDICTS:
        known.clear()
    known[name] = verdict


def named_by_connection(value: bytes) -> frozenset[bytes]:
    """Return the lower-case field names that a Connection header declares hop-by-hop."""
    return frozenset(token.strip(b" \t").lower() for token in value.split(b",")) - {b""}


def without_named(lines: list[bytes], names: frozenset[bytes]) -> list[bytes]:
    """Return *lines* (begin of line, value, begin of line, …) without the fields in *names*."""
    kept: list[bytes] = []
    for start in range(0, len(lines), 2):
        if lines[start].strip(b"\r\n: ").lower() not in names:
            kept += lines[start : start + 2]
    return kept


def _line(name: bytes) -> bytes:
    return b"\r\n%b: " % name
