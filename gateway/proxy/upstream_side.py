"""What a connection to an upstream tells the exchange that it carries."""

from typing import Protocol

from gateway.proxy.answer_framing import ResponseFraming
from gateway.proxy.failure import Failure
from gateway.proxy.heads import ResponseHead


class Exchange(Protocol):
    """What the connection tells while it carries a request."""

    expects_no_body: bool
    wants_upgrade: bool
    head_timeout: float
    body_timeout: float

    def response_started(self, head: ResponseHead, framing: ResponseFraming, body: bytes) -> None:
        """The head has come; *body* is what of the body came along."""

    def response_body(self, data: bytes) -> None: ...

    def response_ended(self) -> None:
        """The answer is whole. Comes once, after the body."""

    def response_upgraded(self, head: ResponseHead, data: bytes) -> None:
        """The connection is a tunnel now; *data* is what came through it already."""

    def upstream_failed(self, failure: Failure, text: str) -> None:
        """The answer will not come, or not be whole. *text* is for the log."""

    def upstream_paused(self) -> None: ...

    def upstream_resumed(self) -> None: ...
