"""A connection that puts its own host into requests written for any of several targets."""

from collections.abc import Sequence

from gateway.proxy.heads import ResponseHead
from gateway.proxy.upstream import Keeper, UpstreamConnection
from gateway.proxy.upstream_side import Exchange


class RenamingConnection(UpstreamConnection):
    """A connection to an upstream that goes by a name of its own among those of its pool."""

    __slots__ = ("_host",)

    def __init__(self, keeper: Keeper, head: ResponseHead, host: bytes) -> None:
        super().__init__(keeper, head)
        self._host = host

    def begin(
        self, exchange: Exchange, head: bytes, *, whole: bool, body: Sequence[bytes] = ()
    ) -> None:
        """Send *head* with the upstream's own Host, which is the first field there."""
        request_line, _, fields = head.partition(b"\r\nHost: ")
        rest = fields[fields.index(b"\r\n") :]
        renamed = b"".join((request_line, b"\r\nHost: ", self._host, rest))
        super().begin(exchange, renamed, whole=whole, body=body)
