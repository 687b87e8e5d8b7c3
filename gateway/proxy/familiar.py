"""Headers that were read before, for a request that brings the very same.

What a browser asks for on behalf of one page differs in the first line and little else, and what it
sends differs in the length of its body, too. Reading the same bytes again would give the same
result, so the bytes are compared instead: nothing is assumed of a request that differs in any of
them.
"""

from typing import Final

from gateway.proxy.framing import Chunked
from gateway.proxy.request_head import Rendered
from gateway.proxy.targets import parse_known_target
from gateway.recent import Recent
from gateway.request import Request

_GET: Final = b"GET "
_WITH_BODY: Final = ("POST", "PUT", "PATCH")
_VERSION: Final = b" HTTP/1.1"
_SHORTEST: Final = len(_GET) + len(_VERSION) + 1
_LENGTH: Final = "content-length"
_LENGTH_LINES: Final = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")
_LENGTH_DIGITS: Final = 15
_LONGEST_BLOCK: Final = 8192
# On the average; what is remembered of a block takes up to four times its size.
_BYTES_FOR_EACH: Final = 2048
_SPECIAL: Final = frozenset({"authorization", "upgrade", "expect", "via", "x-request-id"})


class Familiar:
    """A header block that was read and understood as part of a request of HTTP/1.1.

    That of a GET without a body; or, with the method before it and without the length, that of a
    request with a body.
    """

    __slots__ = ("_template", "block", "lines", "rendered")

    def __init__(self, block: bytes, template: Request, lines: list[bytes]) -> None:
        self.block = block
        self._template = template
        # One piece instead of many: none of these lines ever has to be taken out again.
        self.lines = [b"".join(lines), b""]
        self.rendered = Rendered()

    def recognize(self, head: bytes) -> Request | None:
        """Return the GET that *head* makes, None unless all but its target is the same.

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

    def with_body(self, line: bytes, length: bytes) -> Request | None:
        """Return the request that begins with *line*, and has a body of *length*.

        None for a line that is not of the usual form. Raises BadRequest as above.
        """
        known = self._template
        target = line[len(known.method) + 1 : -len(_VERSION)]
        if not line.endswith(_VERSION) or b" " in target or target[:1] != b"/":
            return None
        return Request(
            known.method,
            known.scheme,
            known.authority,
            parse_known_target(target),
            {**known.noted, _LENGTH: length},
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
        """Return what *peer* sent before with the very headers of *head*, a GET."""
        try:
            return self._recent[peer, head[head.find(b"\r\n") :]]
        except KeyError:
            return None

    def with_body(self, head: bytes, peer: str) -> tuple[Request, int, Familiar] | None:
        """Return the request that *head* makes, the length of its body, and what tells.

        None unless *peer* sent the same before, but for target and length. Raises BadRequest for a
        target that is refused.
        """
        line, block, length = _split(head)
        if length is None:
            return None
        try:
            familiar = self._recent[peer, block]
        except KeyError:
            return None
        request = familiar.with_body(line, length)
        return None if request is None else (request, int(length), familiar)

    def keep(self, peer: str, familiar: Familiar) -> None:
        self._recent.keep((peer, familiar.block), familiar)


def remember(
    head: bytes, request: Request, framing: int | Chunked, lines: list[bytes], version: str
) -> Familiar | None:
    """Return what makes the next request like this one familiar, None where it is special."""
    if version != "1.1" or not isinstance(framing, int) or request.target.raw[:1] != "/":
        return None
    if request.noted.get("connection", b"keep-alive") != b"keep-alive":
        return None
    if not _SPECIAL.isdisjoint(request.noted):
        return None
    if request.method == "GET" and _LENGTH not in request.noted:
        block = head[head.find(b"\r\n") :]
    elif request.method in _WITH_BODY:
        _, block, length = _split(head)
        if length is None:
            return None
    else:
        return None
    return Familiar(block, request, lines) if len(block) <= _LONGEST_BLOCK else None


def _split(head: bytes) -> tuple[bytes, bytes, bytes | None]:
    """Return the first line of *head*, its method with the other lines, and the length it names.

    The length is None where no line names one in the usual spelling.
    """
    end = head.find(b"\r\n")
    for beginning in _LENGTH_LINES:
        at = head.find(beginning, end)
        if at >= 0:
            after = head.find(b"\r\n", at + 2)
            length = head[at + len(beginning) : after]
            if not length.isdigit() or len(length) > _LENGTH_DIGITS:
                break
            method = head[: head.find(b" ")]
            return head[:end], b"".join((method, head[end:at], head[after:])), length
    return head[:end], b"", None
