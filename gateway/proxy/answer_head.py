"""The head of an app's answer as the client gets it: without hop-by-hop fields, with our cookies.

Strip first, add after: nothing that the app says can take away what is added here.
"""

from typing import Final

from gateway.headers.cookies import OurCookies
from gateway.headers.fields import named_by_connection, without_named
from gateway.proxy.heads import ResponseHead

USUAL_CONNECTION: Final = frozenset({b"keep-alive", b"close", b"Keep-Alive", b"Close"})
_NEVER_SHARED: Final = ("public", "immutable", "s-maxage")
_CACHING: Final = frozenset(
    {
        *(b"cache-control", b"expires", b"pragma", b"surrogate-control", b"cdn-cache-control"),
        b"cloudflare-cdn-cache-control",
    }
)


def answer_lines(
    head: ResponseHead,
    ours: OurCookies | None,
    cookies: tuple[str, ...],
    *,
    personal: bool,
) -> list[bytes]:
    """Return the answer's own headers, and what must be added to them.

    *ours*: cookies that the app may not set; None for the portal, which may. *cookies* are those of
    a renewal. *personal*: the answer is to somebody signed in.
    """
    lines, set_cookies = head.lines, head.set_cookies
    connection = head.noted.get("connection")
    if connection is not None and connection not in USUAL_CONNECTION:
        named = named_by_connection(connection)
        lines = without_named(lines, named)
        set_cookies = [] if b"set-cookie" in named else set_cookies
    for value in set_cookies:
        if ours is None or not ours.owns(value):
            lines += (b"\r\nSet-Cookie: ", value)
    if cookies and not _is_everybodys(head):
        return _with_cookies(lines, cookies)
    if personal and "cache-control" not in head.noted:
        lines += (b"\r\nCache-Control: ", b"private")
    return lines


def length_of_none(head: ResponseHead, *, asked_for_head: bool) -> bytes:
    """Frame an answer without a body, which may tell of the length that another would have."""
    if not asked_for_head and head.status not in (204, 304):
        return b"\r\nContent-Length: 0"
    declared = head.noted.get("content-length")
    if declared is None or head.status == 204:
        return b""
    return b"\r\nContent-Length: %d" % int(declared)


def _is_everybodys(head: ResponseHead) -> bool:
    """Whether caches may show this answer to others (SECURITY C5).

    The cookies stay away then: the next request renews again and gets the same.
    """
    caching = head.noted.get("cache-control", b"").decode("latin-1").lower()
    return any(word in caching for word in _NEVER_SHARED)


def _with_cookies(lines: list[bytes], cookies: tuple[str, ...]) -> list[bytes]:
    """Add our cookies, and keep every cache from handing them to somebody else."""
    kept = without_named(lines, _CACHING)
    for cookie in cookies:
        kept += (b"\r\nSet-Cookie: ", cookie.encode("latin-1"))
    kept += (b"\r\nCache-Control: ", b"no-store")
    return kept
