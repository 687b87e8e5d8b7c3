"""What others wrote to test HTTP and JWT, through the gateway."""

import base64
import json
import re

from gateway.policy.access import Access
from gateway.policy.routes import Route
from gateway.tokens.keys import KeySet, SigningKey
from tests.proxy import conftest
from tests.proxy.conftest import World
from tests.proxy.test_exchange import get, status
from tests.shared_data import shared_data

EVERYTHING = Route("/*", "app", Access.PUBLIC)
_REQUEST_LINE = re.compile(
    rb"(?:^|(?<=\n)|(?<=[a-zA-Z0-9]))[A-Z-]+ (?:https?://([^/? ]*))?[^ \r\n]* HTTP/1\.[01]\r\n"
)

# By part of the name: what we take differently, and why.
SERVED_UP_TO_THE_CLOSE = (
    "No restart when keep-alive is off",
    "Resetting flags when keep-alive is off",
    "CRLF between requests, explicit `close`",
)
OTHER_PROTOCOLS_ARE_NOT_SPOKEN = (
    "`upgrade` >",
    "Multiple tokens with folding and LWS",
)
REFUSED_BY_US = {
    "M-SEARCH": "OPTIONS * and its like concern no resource (H5)",
    "curl GET": "`=` is no part of a host (H4)",
    "Firefox GET": "`=` is no part of a host (H4)",
    "No HTTP version": "HTTP/0.9 (H5)",
    "request with ICE": "another protocol",
    "request with RTSP": "another protocol",
    "as last transfer-encoding": "the only coding understood is chunked (H1)",
    "uri/Fragment": "a fragment in the target (H6)",
    "and basic auth": "userinfo (H4)",
    "llhttp/request/uri/": "a backslash in the target (H6)",
}
UNFINISHED = (
    "It should be unsafe to finish",
    "Spaces in `Content-Length` (surrounding)",
    "Content-Length reset when no body",
    "llhttp/request/transfer-encoding/Parsing and setting flag",
    "CRLF between requests, implicit `keep-alive`",
)


def with_hosts(raw: bytes) -> bytes:
    """Add a Host to every request that names none."""
    parts, at = [], 0
    for line in _REQUEST_LINE.finditer(raw):
        head = raw[line.end() :].partition(b"\r\n\r\n")[0]
        if re.search(rb"(?i)(?:^|\n)host *:", head):
            continue
        parts += [raw[at : line.end()], b"Host: ", line[1] or b"localhost", b"\r\n"]
        at = line.end()
    return b"".join([*parts, raw[at:]])


def statuses(answer: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


async def judged(world: World, raw: bytes) -> tuple[list[int], int]:
    """What the client is told, and how many requests the app answered."""
    before = len(world.upstream.heads)
    answer = await world.send(with_hosts(raw), half_close=True)
    told = statuses(answer)
    if told and told[-1] >= 400:
        assert b"\r\nConnection: close\r\n" in answer
    return told, len(world.upstream.heads) - before


def named(case: dict, names) -> bool:
    return any(name in case["id"] for name in names)


async def test_h1_what_llhttp_refuses_never_reaches_the_app_and_the_rest_does_once(world: World):
    world.route(EVERYTHING)
    wrong = []
    for case in json.loads(shared_data("llhttp_cases.json").read_text())["cases"]:
        kind = case["meta"]["type"]
        if not kind.startswith("request"):
            continue
        good = case["llhttp_strict"] == "ok" and "lenient" not in kind
        received = len(world.upstream.bytes_received)
        told, arrived = await judged(world, case["raw_latin1"].encode("latin-1"))
        served = [code for code in told if code == 200]
        if named(case, UNFINISHED):
            fits = arrived == len(served) or not told
        elif named(case, SERVED_UP_TO_THE_CLOSE):
            fits = told == [200] and arrived == 1
        elif named(case, OTHER_PROTOCOLS_ARE_NOT_SPOKEN):
            fits = told[0] == 200 and arrived == 1
        elif good and not any(case["id"].endswith(n) or n in case["id"] for n in REFUSED_BY_US):
            fits = told == [200] * len(told) and arrived == len(told) > 0
        elif good and case["id"].startswith("llhttp/request/uri/") and told == [200]:
            fits = arrived == 1
        else:
            fits = told[-1] >= 400 and arrived == len(served)
            # Of what was refused, not one byte went on.
            fits &= bool(served) or len(world.upstream.bytes_received) == received
        if not fits:
            wrong.append((case["id"], told, arrived))

    assert wrong == []


THEIR_LIMITS = ("006", "007", "008", "010", "017", "limit_header_default_01")
DROPPED_BY_US = ("019", "040", "chunked_07", "trailer_forbidden")
PASSED_ON_AS_SENT = ("041",)  # two Content-Types: nothing that we decide on
NOT_OURS = {
    "valid/002": "`=` is no part of a host (H4)",
    "valid/003": "`=` is no part of a host (H4)",
    "valid/005": "a fragment in the target (H6)",
    "valid/009": "Content-Length beside Transfer-Encoding (H1)",
    "valid/013": "blanks in chunk extensions",
    "valid/025": "the only coding understood is chunked (H1)",
    "valid/027": "non-ASCII in the target (H6)",
    "valid/028": "a blank before the colon",
    "valid/029": "the only coding understood is chunked (H1)",
    "valid/030": "the only coding understood is chunked (H1)",
    "valid/031": "a method that nobody has registered",
    "obs_fold": "folded headers (RFC 9112 §5.2)",
    **dict.fromkeys(("pp_01", "pp_02", "pp_04", "pp_05"), "a PROXY line that nobody asked for"),
    "smuggle_": "the only coding understood is chunked (H1)",
    "userinfo": "userinfo (H4)",
    "asterisk": "OPTIONS * concerns no resource (H5)",
    "authority": "CONNECT (H5)",
}


async def test_h1_gunicorns_requests_are_judged_as_gunicorn_judges_them(world: World):
    world.route(EVERYTHING)
    wrong = []
    for case in json.loads(shared_data("gunicorn_requests.json").read_text())["cases"]:
        told, arrived = await judged(world, case["raw_latin1"].encode("latin-1"))
        served = told.count(200)
        taken = served == len(told) == arrived > 0
        if named(case, ("missing_final_crlf_01", "valid/099")):
            fits = told == []  # never whole, so never answered
        elif case["expect"] == "reject":
            lenient = named(case, (*THEIR_LIMITS, *DROPPED_BY_US, *PASSED_ON_AS_SENT))
            fits = taken if lenient else told[-1] >= 400 and served == arrived
        else:
            fits = told[-1] >= 400 and not arrived if named(case, NOT_OURS) else taken
        if not fits:
            wrong.append((case["id"], told, arrived))

    assert wrong == []


NOT_WHOLE = (
    "103 first, then 200",
    "Tabs in `Content-Length`",
    "Google 301",
    "Content-Length reset when no body",
    "extensions quoting",
)
CODINGS = ("before other transfer-encoding", "chunked is not the last one", "chunkedchunked")
NOT_HTTP_1_X = ("RTSP response", "ICE response", "HTTP version 0.9", "starting with CRLF")
CUT_AT_ITS_LENGTH = ("keep-alive disabled",)  # what follows is dropped with the connection


async def test_h3_llhttps_answers_reach_the_client_whole_or_as_an_error(world: World):
    world.route(EVERYTHING)
    world.upstream.close_after_answer = True
    wrong = []
    for case in json.loads(shared_data("llhttp_cases.json").read_text())["cases"]:
        kind = case["meta"]["type"]
        if not kind.startswith("response"):
            continue
        good = case["llhttp_strict"] == "ok" and "lenient" not in kind
        good |= named(case, CUT_AT_ITS_LENGTH)
        good &= not named(case, (*NOT_WHOLE, *CODINGS, *NOT_HTTP_1_X))
        raw = case["raw_latin1"].encode("latin-1")
        world.upstream.answer = lambda _head, raw=raw: raw
        try:
            answer = await world.send(get("/"))
        except ConnectionResetError:
            answer = b"HTTP/1.1 502 reset\r\nConnection: close\r\n"
        codes = re.findall(rb"(?:HTTP|RTSP|ICE)/\S+ (\d{3})", raw)
        final = [int(code) for code in codes if not code.startswith(b"1")]
        expected = final[0] if good and final else 502
        if status(answer) != expected or answer.count(b"\r\nConnection: close\r\n") != 1:
            wrong.append((case["id"], expected, answer))

    assert wrong == []


async def test_h18_set_cookie_lines_pass_byte_for_byte_and_in_order(world: World):
    world.route(EVERYTHING)
    cases = json.loads(shared_data("http_state_cases.json").read_text())["cases"]
    seen = 0
    for case in cases:
        lines = [line.encode("latin-1", "replace") for line in case["set_cookie_lines"]]
        if any(re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", line) for line in lines):
            continue  # no header may hold these (H8)
        seen += 1
        block = b"".join(b"Set-Cookie:%b\r\n" % line for line in lines)
        world.upstream.answer = lambda _head, block=block: (
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n%b\r\n" % block
        )

        answer = await world.send(get("/"))

        passed = re.findall(rb"\r\nSet-Cookie:([^\r]*)", answer)
        assert [line.strip(b" \t") for line in passed] == [line.strip(b" \t") for line in lines]
    assert seen > 200


def secrets_of(groups: list[dict]) -> list[tuple[dict, bytes]]:
    return [
        (group, base64.urlsafe_b64decode(group["private"]["k"] + "=="))
        for group in groups
        if "public" not in group and group["private"].get("alg", "HS256") == "HS256"
    ]


async def test_j4_wycheproofs_tokens_open_nothing_as_a_cookie(world: World, monkeypatch):
    """None of them is an access token of ours, whatever its signature: 401, never a 5xx."""
    groups = json.loads(shared_data("wycheproof_json_web_signature_test.json").read_text())
    seen = 0
    for group, secret in secrets_of(groups["testGroups"]):
        key = SigningKey(group["private"]["kid"], "HS256", secret, secret, 0.0)
        monkeypatch.setattr(conftest, "KEYS", KeySet((key,)))
        world.route(Route("/*", "app"))
        for case in group["tests"]:
            seen += 1
            token = case["jws"] if isinstance(case["jws"], str) else json.dumps(case["jws"])
            if not re.fullmatch(r"[\x21-\x3a\x3c-\x7e]*", token):
                continue

            answer = await world.send(get("/", f"Cookie: accessToken={token}"))

            assert status(answer) == 401, case
        signed = world.token()
        assert status(await world.send(get("/", f"Cookie: accessToken={signed}"))) == 200
    assert seen > 20
