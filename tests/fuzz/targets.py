"""Every surface that strangers write to: a function of the bytes that raises where we are wrong.

The same functions are run by the guided fuzzer, by Hypothesis and on every file of the corpus.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.bodies import chunked_body, length_body
from tests.fuzz.frames import websocket_frames
from tests.fuzz.proxy_headers import proxy_header
from tests.fuzz.request_stream import request_stream
from tests.fuzz.response_stream import response_stream
from tests.fuzz.texts import cookie_header, host_header, request_target, return_to, set_cookie
from tests.fuzz.tls_stream import tls_stream
from tests.fuzz.tokens import access_token, key_set_document, refresh_token, token_content
from tests.fuzz.told import trusted_headers

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
WORDS = HERE / "words.dict"


@dataclass(frozen=True)
class Target:
    """A surface. *longest* bounds the inputs that are made up, in bytes."""

    run: Callable[[bytes], None]
    longest: int

    @property
    def name(self) -> str:
        return self.run.__name__

    @property
    def corpus(self) -> Path:
        return CORPUS / self.name


TARGETS = {
    target.name: target
    for target in (
        Target(request_stream, 6000),
        Target(response_stream, 4000),
        Target(chunked_body, 4000),
        Target(length_body, 200),
        Target(trusted_headers, 1500),
        Target(proxy_header, 300),
        Target(tls_stream, 1500),
        Target(cookie_header, 400),
        Target(set_cookie, 200),
        Target(request_target, 300),
        Target(host_header, 100),
        Target(return_to, 300),
        Target(access_token, 600),
        Target(token_content, 600),
        Target(key_set_document, 1000),
        Target(refresh_token, 160),
        Target(websocket_frames, 400),
    )
}
