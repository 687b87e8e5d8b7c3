"""The gateway's memory after millions of requests, no two alike, with sign-ins and renewals."""

import asyncio
import http.client
import json
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bcrypt

from benchmarks import medley, upstream
from benchmarks.crowd import SUBJECT, Crowd, crowds, session_id
from benchmarks.memory import send
from benchmarks.processes import (
    SYSTEM_CORE,
    Command,
    Process,
    free_port,
    wait_until_listening,
)
from benchmarks.table import markdown
from gateway.app.free_memory import EVERY_SECONDS
from gateway.identity.principal import Principal
from gateway.sessions.refresh_token import mint
from gateway.tasks import Tasks
from gateway.tokens.access import Signer
from gateway.tokens.key_folder import KeyFolder

REQUESTS = 10_000_000
_STEPS = (100_000, 300_000, 1_000_000, 3_000_000, 5_000_000, 7_500_000)
_TOKENS = 20_000  # more than any cache of the gateway remembers
# The first step shows every token, alone and beside another cookie, and fills what renewals and
# sign-ins fill, so that the later ones show what grows.
_FIRST_RENEWALS = 12_000
_RENEWALS = 2_000
_FIRST_SIGN_INS = 1_000
_SIGN_INS = 50
_PASSWORD = "correct horse battery staple"
_LIFETIME = 12 * 3600.0
# Memory counts as the same within these: an allocator never gives everything back.
_SAME_SHARE = 0.01
_SAME_BYTES = 2e6
_STEADY_SHARE = 0.005
_LAST_STEPS = 3


def run(requests: int = REQUESTS) -> tuple[str, dict[str, Any]]:
    """Tell what the process held after each step, in bytes."""
    steps = [*(step for step in _STEPS if step < requests), requests]
    with _site(_FIRST_RENEWALS + _RENEWALS * len(steps)) as site:
        told = [_step(site, number, until) for number, until in enumerate(steps)]
    head = ["requests", "refused", "renewals", "sign-ins", "CPU", "resident", "since the first"]
    rows = [
        [
            f"{step.requests:,}",
            f"{step.refused:,}",
            f"{step.renewals:,}",
            f"{step.sign_ins:,}",
            f"{step.cpu:.0f} s",
            f"{step.resident / 1e6:.1f} MB",
            f"{(step.resident - told[0].resident) / 1e6:+.1f} MB",
        ]
        for step in told
    ]
    judged = verdict([step.resident for step in told])
    return f"{markdown(head, rows)}\n\n{judged}", {"endurance": [vars(step) for step in told]}


def verdict(resident: Sequence[int]) -> str:
    """Tell whether memory, in bytes after each step, stayed what it was after the first.

    It did if no later step held over 1 % or 2 MB more, and the last three are within half a per
    cent of each other: what still grows slowly would show there.
    """
    first, last = resident[0], resident[-_LAST_STEPS:]
    above = max(resident) - first
    spread = max(last) - min(last)
    same = above <= min(first * _SAME_SHARE, _SAME_BYTES)
    steady = spread <= first * _STEADY_SHARE
    said = "the same as" if same else "more than"
    how = "steady" if steady else "not steady"
    return (
        f"Memory is {said} after the first step: at most {above / 1e6:+.1f} MB"
        f" ({above / first:+.1%}). The last steps are {how}: {spread / 1e6:.1f} MB apart."
    )


@dataclass
class Step:
    """What had passed through in all, the CPU seconds it took, and the bytes held after it."""

    requests: int = 0
    refused: int = 0
    renewals: int = 0
    sign_ins: int = 0
    cpu: float = 0.0
    resident: int = 0


@dataclass
class _Site:
    folder: Path
    port: int
    crowd: Crowd
    process: Process
    passed: Step


def _step(site: _Site, number: int, until: int) -> Step:
    passed = site.passed
    if not number:
        asyncio.run(_every_token(site))
        passed.requests += 2 * _TOKENS
    while passed.requests < until:
        done = medley.run(site.folder, site.port, passed.requests, until - passed.requests)
        passed.requests += done.requests
        passed.refused += done.refused
    renewals = _RENEWALS if number else _FIRST_RENEWALS
    sign_ins = _SIGN_INS if number else _FIRST_SIGN_INS
    asyncio.run(_renewals(site, range(passed.renewals, passed.renewals + renewals)))
    _sign_ins(site.port, number, sign_ins)
    passed.renewals += renewals
    passed.sign_ins += sign_ins
    # By then closed connections are gone, and what is free was given back to the system.
    time.sleep(EVERY_SECONDS + 2)
    step = replace(passed, cpu=site.process.cpu_seconds(), resident=site.process.resident_bytes())
    print(f"{step.requests:,}: {step.resident / 1e6:.1f} MB", file=sys.stderr, flush=True)
    return step


async def _every_token(site: _Site) -> None:
    """Show each token twice, slowly enough for the store to hear of most sessions."""
    tokens = (site.folder / medley.TOKENS_FILE).read_bytes().splitlines()
    for begin in (b"accessToken=", b"theme=dark; accessToken="):
        shown = ((b"/items/1", begin + token) for token in tokens)
        await send(site.port, shown, renewed=False, at_once=4)


async def _renewals(site: _Site, numbers: range) -> None:
    now = time.time()
    keys = KeyFolder.open(site.folder / "keys", "ES256", now).current().refresh_secrets(now)
    shown = (b"refreshToken=" + mint(keys, session_id(n), 1).encode() for n in numbers)
    await send(site.port, ((b"/items/1", cookie) for cookie in shown), renewed=True)


def _sign_ins(port: int, number: int, count: int) -> None:
    """Sign in, and fail to under a new name, from a new address each time."""
    connection = http.client.HTTPConnection(f"127.0.0.1:{port}", timeout=30)
    for turn in range(count):
        for name, password, expected in (
            (SUBJECT, _PASSWORD, 200),
            (f"nobody-{number}-{turn}", "guess", 401),
        ):
            body = json.dumps({"username": name, "password": password})
            headers = {
                "Content-Type": "application/json",
                "Host": "127.0.0.1",
                "X-Forwarded-For": f"198.{18 + number}.{turn // 250}.{turn % 250}",
            }
            connection.request("POST", "/api/v1/auth/login", body, headers)
            with connection.getresponse() as answer:
                answer.read()
                if answer.status != expected:
                    raise SystemExit(f"sign-in of {name}: {answer.status}")
    connection.close()


@contextmanager
def _site(sessions: int) -> Iterator[_Site]:
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-endurance-"))
        folder = Path(name)
        folder.chmod(0o755)  # nginx reads it as its own user
        app_port = free_port()
        stack.callback(upstream.start(folder, app_port, free_port()).stop)
        (crowd,) = stack.enter_context(crowds("sqlite", folder, (sessions,)))
        asyncio.run(_fill(crowd))
        _write_tokens(folder)
        port = free_port()
        process = _gateway(folder, port, app_port, crowd.url)
        stack.callback(process.stop)
        wait_until_listening(process, port)
        yield _Site(folder, port, crowd, process, Step())


async def _fill(crowd: Crowd) -> None:
    tasks = Tasks()
    store = crowd.open(tasks)
    await store.now()  # makes the tables
    await store.close()
    await tasks.close()
    await crowd.load(0, crowd.count)


def _write_tokens(folder: Path) -> None:
    keys = KeyFolder.open(folder / "keys", "ES256", time.time())
    signer = Signer(keys.current, "http://127.0.0.1", "gateway", _LIFETIME)
    with (folder / medley.TOKENS_FILE).open("w") as file:
        for number in range(_TOKENS):
            person = Principal(f"user{number}", f"User {number}", groups=("staff",))
            token, _ = signer.sign(
                person, secrets.token_urlsafe(16), 1, time.time(), None, secrets.token_urlsafe(9)
            )
            file.write(f"{token}\n")


def _gateway(folder: Path, port: int, app_port: int, store: str) -> Process:
    """Start a gateway with its access log on: that remembers things, too."""
    password = bcrypt.hashpw(_PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    (folder / "htpasswd").write_text(f"{SUBJECT}:{password}\n")
    config = {
        "listen": f"127.0.0.1:{port}",
        "public_url": "http://127.0.0.1",
        "trusted_proxies": ["127.0.0.1"],
        "upstreams": {"app": f"http://127.0.0.1:{app_port}"},
        "routes": [
            {"path": "/items/*", "upstream": "app"},
            {"path": "/public/*", "upstream": "app", "access": "public"},
        ],
        "login": [{"htpasswd": "htpasswd"}],
        "tokens": {"keys": str(folder / "keys"), "access_lifetime": f"{_LIFETIME:.0f}s"},
        "sessions": {"store": store},
    }
    (folder / "config.yaml").write_text(json.dumps(config))
    command = Command(
        [sys.executable, "-m", "gateway", "run", "-c", "config.yaml"],
        {"PYTHONPATH": str(Path(__file__).parents[1])},
        folder,
    )
    return Process(command, SYSTEM_CORE, Path("/dev/null"))
