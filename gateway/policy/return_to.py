"""Where a person goes after signing in: a path of our own origin, or the start page.

Invariant: what comes out begins with exactly one slash, and no browser or server, decoding it up
to twice more, finds another origin in it. Checks are made on the path, because a query may hold
addresses that are none of our business; the result is written anew, never the string given.
"""

import re
from urllib.parse import quote, unquote

_LONGEST = 4096
# RFC 3986 §2: what may stand bare in a path, query or fragment; anything else is escaped.
_BARE = "/?:@!$&'()*+,;=%-._~"
# WHATWG URL: tab and newline vanish and \ is / while parsing; C1 and format characters have no
# business here either.
_NEVER = re.compile("[\x00-\x20\x7f-\x9f\\\\\u2028\u2029\ufeff\ud800-\udfff]")
_NEVER_DECODED = re.compile("[\x00-\x1f\x7f\\\\]|//|/\\.{1,2}(?:/|$)")
_DECODINGS = 2


def safe_return(raw: str | None, public_url: str = "") -> str:
    """*raw* as a path of our origin, written by us, or `/`.

    A full address is accepted where it is one of *public_url*'s origin, since other proxies pass
    such on.
    """
    if raw is None or len(raw) > _LONGEST or _NEVER.search(raw):
        return "/"
    target = _without_origin(raw, public_url)
    path, query, fragment = _split(target)
    if not path.startswith("/") or not _stays_ours(path):
        return "/"
    return quote(path, _BARE.replace("?", "")) + _part("?", query) + _part("#", fragment)


def _without_origin(raw: str, public_url: str) -> str:
    found = re.match("[a-z][a-z0-9+.-]*://[^/?#]+", public_url.lower())
    if found is None or not raw.lower().startswith(found[0]):
        return raw
    rest = raw[len(found[0]) :]
    # `http://example.com.evil` and `http://example.com@evil` go on with neither of these.
    if rest[:1] in ("?", "#", ""):
        return "/" + rest
    return rest


def _split(target: str) -> tuple[str, str, str]:
    target, _, fragment = target.partition("#")
    path, _, query = target.partition("?")
    return path, query, fragment


def _stays_ours(path: str) -> bool:
    for _ in range(_DECODINGS):
        if _NEVER_DECODED.search(path):
            return False
        path = unquote(path)
    return not _NEVER_DECODED.search(path)


def _part(mark: str, text: str) -> str:
    return mark + quote(text, _BARE) if text else ""
