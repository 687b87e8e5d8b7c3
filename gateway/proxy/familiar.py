"""Headers that were read before, for a request that brings the very same.

What a browser asks for on behalf of one page differs in the first line and little else. Reading
the same bytes again would give the same result, so the bytes are compared instead: nothing is
assumed of a request that differs in any of them.
"""

from typing import Final

from gateway.proxy.framing import Chunked
from gateway.proxy.request_head import Rendered
from gateway.proxy.targets import parse_known_target
from gateway.recent import Recent
from gateway.request import Request

_GET: Final = b"GET "
_VERSION: Final = b" HTTP/1.1"
_SHORTEST: Final = len(_GET) + len(_VERSION) + 1
_LONGEST_BLOCK: Final = 8192
# On the average; what is remembered of a block takes up to four times its size.
_BYTES_FOR_EACH: Final = 2048
_SPECIAL: Final = frozenset(
    {"authorization", "upgrade", "expect", "via", "x-request-id", "content-length"}
)


class Familiar:
    """A header block that was read and understood as part of a GET of HTTP/1.1 without a body."""

    __slots__ = ("_template", "block", "lines", "rendered")

    def __init__(self, block: bytes, template: Request, lines: list[bytes]) -> None:
        self.block = block
        self._template = template
        # One piece instead of many: none of these lines ever has to be taken out again.
        self.lines = [b"".join(lines), b""]
        self.rendered = Rendered()

    def recognize(self, head: bytes) -> Request | None:
        """Return the request that *head* makes, None unless all but its target is the same.

        Raises BadRequest for a target that is refused.
        """
        block = self.block
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


class FamiliarHeads:
    """The header blocks seen lately, by the peer that sent them; shared by all its connections."""

    __slots__ = ("_recent",)

    def __init__(self, bound: int = 1024) -> None:
        self._recent: Recent[tuple[str, bytes], Familiar] = Recent(
            bound, room=bound * _BYTES_FOR_EACH, weigh=lambda key: len(key[1])
        )

    def find(self, head: bytes, peer: str) -> Familiar | None:
        """Return what *peer* sent before with the very headers of *head*."""
        try:
            return self._recent[peer, head[head.find(b"\r\n") :]]
        except KeyError:
            return None

    def keep(self, peer: str, familiar: Familiar) -> None:
        self._recent.keep((peer, familiar.block), familiar)


def remember(
    head: bytes, request: Request, framing: int | Chunked, lines: list[bytes], version: str
) -> Familiar | None:
    """Return what makes the next request like this one familiar, None where it is special."""
    if request.method != "GET" or version != "1.1" or framing != 0:
        return None
    if request.noted.get("connection", b"keep-alive") != b"keep-alive":
        return None
    if not _SPECIAL.isdisjoint(request.noted) or request.target.raw[:1] != "/":
        return None
    block = head[head.find(b"\r\n") :]
    return Familiar(block, request, lines) if len(block) <= _LONGEST_BLOCK else None
