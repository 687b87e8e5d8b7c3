"""The headers of a connection's last request, for a next one that brings the very same.

What a browser asks for on behalf of one page differs in the first line and little else. Reading
the same bytes again would give the same result, so the bytes are compared instead: nothing is
assumed of a request that differs in any of them.
"""

from typing import Final

from gateway.proxy.incoming import Incoming, parse_known_target
from gateway.request import Request

_GET: Final = b"GET "
_VERSION: Final = b" HTTP/1.1"
_SHORTEST: Final = len(_GET) + len(_VERSION) + 1
_LONGEST_BLOCK: Final = 8192
_SPECIAL: Final = frozenset(
    {"authorization", "upgrade", "expect", "via", "x-request-id", "content-length"}
)


class Familiar:
    """A header block that was read and understood as part of a GET of HTTP/1.1 without a body."""

    __slots__ = ("_block", "_start", "_template", "lines")

    def __init__(self, block: bytes, template: Request, lines: list[bytes]) -> None:
        self._block = block
        self._template = template
        # One piece instead of many: none of these lines ever has to be taken out again.
        self.lines = [b"".join(lines), b""]

    def recognize(self, head: bytes) -> Request | None:
        """Return the request that *head* makes, None unless all but its target is the same.

        Raises BadRequest for a target that is refused.
        """
        block = self._block
        start = len(head) - len(block)
        if start < _SHORTEST or not head.endswith(block) or not head.startswith(_GET):
            return None
        target = head[4 : start - 9]
        if head[start - 9 : start] != _VERSION or b" " in target or target[:1] != b"/":
            return None
        known = self._template
        return Request(
            "GET",
            known.scheme,
            known.authority,
            parse_known_target(target),
            known.noted,
            known.cookie,
            known.client,
        )


def remember(head: bytes, incoming: Incoming, lines: list[bytes], version: str) -> Familiar | None:
    """Return what makes the next request like this one familiar, None where it is special."""
    request = incoming.request
    if request.method != "GET" or version != "1.1" or incoming.framing != 0:
        return None
    if request.noted.get("connection", b"keep-alive") != b"keep-alive":
        return None
    if not _SPECIAL.isdisjoint(request.noted) or request.target.raw[:1] != "/":
        return None
    block = head[head.find(b"\r\n") :]
    return Familiar(block, request, lines) if len(block) <= _LONGEST_BLOCK else None
