"""Every input that ever mattered still holds; each target is fuzzed a little; none is blind.

`make fuzz` does the same for as long as you like.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.fuzz.command import Run, _told, grow, guided_is_there, unguided
from tests.fuzz.reader import requests_in
from tests.fuzz.request_stream import _serve
from tests.fuzz.response_stream import _ASKED, _answer
from tests.fuzz.stage import Finding, run, spelled_out
from tests.fuzz.targets import HERE, TARGETS, Target
from tests.fuzz.tls_stream import _talk
from tests.shared_data import shared_data

BURST_SECONDS = 3
SEED = 1
_KEPT_BYTES = 1024 * 1024
ROOT = HERE.parent.parent


@pytest.fixture(params=list(TARGETS))
def target(request) -> Target:
    return TARGETS[request.param]


def test_every_input_of_the_corpus_holds(target: Target):
    inputs = sorted(target.corpus.iterdir())

    assert inputs
    for path in inputs:
        try:
            target.run(path.read_bytes())
        except Exception as error:
            error.add_note(f"again: python -m tests.fuzz --replay {path}")
            raise


@pytest.fixture(scope="module")
def bursts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Run]]]:
    """The bursts of all chosen targets, on all cores at once."""
    if not guided_is_there():
        pytest.skip("atheris is not installed: pip install '.[dev]' on Linux x86-64")

    chosen = [
        item.callspec.params["target"]
        for item in request.session.items
        if "bursts" in getattr(item, "fixturenames", ())
    ]
    # Not threads: while one of them starts a process the others share its memory (vfork), and
    # a kernel has been seen that then could not read what to run (EFAULT), once in hundreds.
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        begun = {
            name: pool.submit(_burst, name, tmp_path_factory.mktemp("burst")) for name in chosen
        }
        yield begun
        pool.shutdown(cancel_futures=True)


def _burst(name: str, folder: Path) -> Run:
    return grow(TARGETS[name], BURST_SECONDS, SEED, folder / "grown", folder / "found")


def test_a_short_burst_finds_nothing(target: Target, bursts: dict[str, Future[Run]]):
    """Guided by coverage; where atheris has no wheel, the blind run is all that there is."""
    done = bursts[target.name].result()

    assert not done.failed, done.told
    assert done.executions > len(list(target.corpus.iterdir()))


def test_a_blind_run_finds_nothing_and_leaves_logging_as_it_was(target: Target, tmp_path: Path):
    done = unguided(target, 1, SEED, tmp_path, tmp_path)

    assert not done.failed, done.told
    assert done.executions > 10
    assert logging.getLogger("gateway").isEnabledFor(logging.ERROR)


def test_no_target_throws_anything_on_what_others_wrote():
    """HTTP and cookies and tokens from the test suites of others, every one to its surface."""
    requests = [
        case["raw_latin1"].encode("latin-1")
        for name in ("llhttp_cases.json", "gunicorn_requests.json")
        for case in json.loads(shared_data(name).read_text())["cases"]
    ]
    cookies = [
        line.encode("latin-1", "replace").strip()
        for case in json.loads(shared_data("http_state_cases.json").read_text())["cases"]
        for line in case["set_cookie_lines"]
    ]
    wycheproof = json.loads(shared_data("wycheproof_json_web_signature_test.json").read_text())
    tokens = [
        case["jws"] if isinstance(case["jws"], str) else json.dumps(case["jws"])
        for group in wycheproof["testGroups"]
        for case in group["tests"]
    ]

    for raw in requests:
        TARGETS["request_stream"].run(raw)
        TARGETS["request_stream"].run(raw.replace(b"\r\n", b"\r\nHost: a\r\n", 1))
        for asked in range(len(_ASKED)):
            TARGETS["response_stream"].run(bytes((asked,)) + raw)
    for line in cookies:
        TARGETS["set_cookie"].run(line)
        TARGETS["cookie_header"].run(line)
    for token in tokens:
        TARGETS["access_token"].run(token.encode())
    assert min(len(requests), len(cookies), len(tokens)) > 200


def test_the_corpus_stays_small():
    assert sum(path.stat().st_size for path in HERE.rglob("corpus/*/*")) < _KEPT_BYTES


# A target that sees nothing would hold for ever.


def test_requests_of_the_corpus_reach_the_app_and_are_answered():
    def seen(name: str) -> tuple[list[bytes], list[int]]:
        data = spelled_out((TARGETS["request_stream"].corpus / name).read_bytes())
        done = run(_serve([data], requests_in(data)))
        return [request.target for request in done.arrived], done.answers

    assert seen("pipeline") == ([b"/public/a"] * 3, [200, 200, 200, 401])
    assert seen("signed-in") == ([b"/x?q=1"], [200])
    assert seen("renewed") == ([b"/x"], [200, 401])
    assert seen("chunked") == ([b"/public/a", b"/public/b"], [200, 200])
    assert seen("websocket") == ([b"/public/ws"], [101])
    assert seen("both") == ([], [400])


def test_answers_of_the_corpus_reach_the_client():
    def seen(name: str) -> tuple[int, bytes]:
        data = (TARGETS["response_stream"].corpus / name).read_bytes()
        method, asked = _ASKED[data[0]]
        answer = run(_answer(asked, method, [data[1:]])).answer
        return (0, b"") if answer is None else (answer.status, answer.body)

    assert seen("length") == (200, b"hello")
    assert seen("chunked") == (200, b"hello")
    assert seen("until-close") == (200, b"hello")
    assert seen("cut-off") == (0, b"")
    assert seen("switched") == (101, b"")
    assert seen("both")[0] == 502


def test_records_of_the_corpus_are_heard_through_tls():
    def heard(name: str) -> tuple[bytes, int]:
        data = (TARGETS["tls_stream"].corpus / name).read_bytes()
        done = run(_talk(data, cut=False))
        return done.heard, done.ends

    assert heard("half-closed") == (b"GET /", 1)
    assert heard("data-after-end") == (b"a", 1)
    assert heard("our-end-first") == (b"amoreand more", 1)
    assert heard("new-keys") == (b"ac", 1)
    assert heard("garbage-between") == (b"a", 1)
    assert heard("no-tls") == (b"", 0)


def test_a_finding_is_kept_told_and_counted(tmp_path: Path):
    """What the command is for, tried on a target that breaks on one word."""

    def breaks_on_a_word(data: bytes) -> None:
        if b"HTTP/1.1" in data:
            raise Finding("the word was there")

    broken = Target(breaks_on_a_word, 100)
    done = unguided(broken, 30, SEED, tmp_path, tmp_path)

    (kept,) = tmp_path.iterdir()
    assert done.failed
    assert "the word was there" in done.told
    assert str(kept) in done.told
    assert b"HTTP/1.1" in kept.read_bytes()


def test_of_what_the_guided_fuzzer_prints_people_are_told_what_broke_and_where_it_is_kept():
    printed = (
        "#512\tpulse  cov: 1355\n === Uncaught Python exception: ===\nFinding: it passes\n"
        "Traceback (most recent call last):\n  File here\n\n==25032== ERROR: libFuzzer: exited\n"
        "Test unit written to corpus/request_target/crash-1\n"
    )

    told = _told(printed)

    assert told.startswith("=== Uncaught Python exception: ===\nFinding: it passes\n")
    assert "pulse" not in told
    assert told.endswith("again: python -m tests.fuzz --replay corpus/request_target/crash-1")


def test_the_command_says_which_file_breaks(tmp_path: Path):
    folder = tmp_path / "request_target"
    folder.mkdir()
    (folder / "plain").write_bytes(b"/a")

    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--replay", str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (0, f"{folder / 'plain'}: holds\n")
