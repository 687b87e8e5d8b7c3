"""The harness must notice a system that does not do the work it would be measured for."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from benchmarks import browser, proof
from benchmarks.issuer import SUBJECT, Algorithm, Issuer
from benchmarks.systems.system import Site
from tests.benchmarks.serving import Answering, serving


def answering(
    answer: Callable[[str | None], tuple[int, str]],
) -> AbstractContextManager[int]:
    """A system that answers by the access token it was shown."""

    class Asked(Answering):
        def answer(self) -> tuple[int, str]:
            _, found, token = self.headers["Cookie"].partition(f"{browser.COOKIE_NAME}=")
            return answer(token if found else None)

    return serving(Asked)


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
