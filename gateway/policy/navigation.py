"""Whether a person is waiting for a page, so that a sign-in page may be the answer.

Invariant: nothing but a navigation is ever redirected to sign-in; a script, a form's POST, a
WebSocket and a prefetch would each mistake that page for what they asked for.
"""

from collections.abc import Mapping

_PAGES = frozenset({"text/html", "application/xhtml+xml"})


def is_navigation(method: str, headers: Mapping[str, str], *, upgrade: bool = False) -> bool:
    """Decide by *headers* (lower-case names), Fetch Metadata first, else by what is accepted."""
    if upgrade or method not in ("GET", "HEAD") or is_prefetch(headers):
        return False
    mode = headers.get("sec-fetch-mode")
    if mode is not None:
        # Not by Sec-Fetch-Dest: through a service worker a navigation has the empty one.
        return mode == "navigate"
    if headers.get("x-requested-with", "").lower() == "xmlhttprequest":
        return False
    return _accepts_a_page(headers.get("accept", ""))


def is_prefetch(headers: Mapping[str, str]) -> bool:
    """`Sec-Purpose: prefetch;prerender` and the older `Purpose`: nobody is looking yet."""
    return "prefetch" in (headers.get("sec-purpose", "") + headers.get("purpose", "")).lower()


def _accepts_a_page(accept: str) -> bool:
    """Named in so many words and not with weight 0; `*/*` is what programs send."""
    for offer in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in offer.split(";"))
        if kind in _PAGES and not any(_is_zero_weight(each) for each in parameters):
            return True
    return False


def _is_zero_weight(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    return name.strip() == "q" and value.strip().strip("0.") == ""
