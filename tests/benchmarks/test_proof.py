"""The harness must notice a system that does not do the work it would be measured for."""

import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import browser, proof
from benchmarks.issuer import SUBJECT, Algorithm, Issuer
from benchmarks.systems.system import Site


@contextmanager
def answering(answer: Callable[[str | None], tuple[int, str]]) -> Iterator[int]:
    """A system that answers by the access token it was shown."""

    class Asked(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, found, token = self.headers["Cookie"].partition(f"{browser.COOKIE_NAME}=")
            status, body = answer(token if found else None)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Asked) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def judge(folder: Path, passed: set[str], told: str = SUBJECT) -> None:
    """Check a system that lets these kinds of token pass and tells the app *told*."""
    issuer = Issuer(folder, "http://issuer.example", "https://issuer.example")
    tokens = issuer.tokens(Algorithm.ES256)
    kinds = {None: "no", tokens.good: "good", tokens.forged: "forged", tokens.expired: "expired"}
    with answering(lambda token: (200, told) if kinds[token] in passed else (401, "")) as port:
        site = Site(folder, port, 0, issuer)
        proof.check(site, tokens, lambda token: browser.headers(site.address, token))


def test_a_system_that_passes_only_the_good_token_is_proven(tmp_path: Path) -> None:
    judge(tmp_path, {"good"})


@pytest.mark.parametrize("bad", ["no", "forged", "expired"])
def test_a_system_that_lets_a_bad_token_pass_is_not(tmp_path: Path, bad: str) -> None:
    with pytest.raises(proof.NotProven, match=f"{bad} token: 200"):
        judge(tmp_path, {"good", bad})


def test_a_system_that_refuses_the_good_token_is_not(tmp_path: Path) -> None:
    with pytest.raises(proof.NotProven, match="good token: 401"):
        judge(tmp_path, set())


def test_a_system_that_does_not_say_who_asks_is_not(tmp_path: Path) -> None:
    with pytest.raises(proof.NotProven, match="the app was told 'nobody'"):
        judge(tmp_path, {"good"}, told="nobody")


def test_a_browser_sends_sixteen_headers() -> None:
    assert len(browser.headers("app.example", "token")) == 16
