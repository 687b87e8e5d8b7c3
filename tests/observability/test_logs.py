"""Logs: one line per record, tracebacks included, and never a credential (R10)."""

import json
import logging
import warnings
from collections.abc import Iterator

import pytest
from aiohttp.http_exceptions import BadHttpMessage
from hypothesis import given
from hypothesis import strategies as st

from gateway.observability.line import LineFormat
from gateway.observability.logs import configure, mask

TOUCHED = ("", "gateway.audit", "aiohttp.access", "aiohttp.server", "sqlalchemy", "aiosqlite")
JWT = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJlLXNpZ25hdHVyZQ"


@pytest.fixture
def lines() -> Iterator[list[str]]:
    loggers = [logging.getLogger(name) for name in TOUCHED]
    before = [(log.level, log.disabled, log.handlers[:], log.filters[:]) for log in loggers]
    collected: list[str] = []
    configure(logging.INFO, LineFormat.JSON, lambda line: not collected.append(line))
    yield collected
    logging.captureWarnings(capture=False)
    for log, (level, disabled, handlers, filters) in zip(loggers, before, strict=True):
        log.setLevel(level)
        log.disabled = disabled
        log.handlers[:], log.filters[:] = handlers, filters


def test_a_record_is_one_line_with_its_fields(lines):
    logging.getLogger("gateway.x").warning("a\nb %s", "\x1b[0m", extra={"fields": {"user": "al\n"}})

    (line,) = lines
    assert line.count("\n") == 1
    entry = json.loads(line)
    assert list(entry) == ["time", "level", "logger", "message", "user"]
    assert entry["level"] == "warning"
    assert entry["message"] == "a\nb \x1b[0m"


def test_extra_fields_cannot_replace_what_every_line_has(lines):
    logging.getLogger("gateway.x").error("real", extra={"fields": {"message": "forged"}})

    assert json.loads(lines[0])["message"] == "real"


def test_a_traceback_is_one_field_of_the_same_line(lines):
    try:
        int(JWT)
    except ValueError:
        logging.getLogger("gateway.x").exception("it failed")

    (line,) = lines
    assert line.count("\n") == 1
    exception = json.loads(line)["exception"]
    assert exception.startswith("Traceback")
    assert "ValueError: invalid literal" in exception
    assert JWT not in exception


def test_the_level_limits_chatter_but_not_the_audit_log(lines):
    configure(logging.ERROR, LineFormat.JSON, lambda line: not lines.append(line))

    logging.getLogger("gateway.x").warning("chatter")
    logging.getLogger("gateway.audit").info("login.ok")

    assert [json.loads(line)["message"] for line in lines] == ["login.ok"]


def test_configuring_again_replaces_and_does_not_repeat(lines):
    configure(logging.INFO, LineFormat.TEXT, lambda line: not lines.append(line))

    logging.getLogger("gateway.x").info("once")

    (line,) = lines
    assert line.endswith('level=info logger=gateway.x message="once"\n')


def test_warnings_become_lines(lines):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("take care", stacklevel=1)

    assert json.loads(lines[0])["logger"] == "py.warnings"


def test_a_malformed_request_is_a_line_and_not_a_traceback(lines):
    logging.getLogger("aiohttp.server").error(
        "Error handling request from %s", "::1", exc_info=BadHttpMessage("GET /?token=s3cret")
    )

    (line,) = lines
    entry = json.loads(line)
    assert entry["message"] == "malformed request refused: BadHttpMessage"
    assert "exception" not in entry
    assert "s3cret" not in line


def test_malformed_requests_are_chatter(lines):
    configure(logging.WARNING, LineFormat.JSON, lambda line: not lines.append(line))

    logging.getLogger("aiohttp.server").error("Error %s", "x", exc_info=BadHttpMessage("x"))

    assert lines == []


def test_our_own_mistakes_keep_their_traceback(lines):
    logging.getLogger("aiohttp.server").error("Unhandled exception", exc_info=ValueError("ours"))

    assert "ValueError: ours" in json.loads(lines[0])["exception"]


def test_aiohttp_does_not_log_every_request_a_second_time(lines):
    logging.getLogger("aiohttp.access").info('GET "/?token=s3cret"')

    assert lines == []


def test_a_broken_message_breaks_nothing_and_is_told_in_one_line(lines, capsys):
    root = logging.getLogger()
    # pytest's own handlers raise where ours must not.
    root.handlers[:] = [one for one in root.handlers if type(one).__module__.startswith("gateway")]

    logging.getLogger("gateway.x").info("%d", "not a number")

    (line,) = lines
    assert "cannot be rendered: %d (TypeError" in json.loads(line)["message"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"token {JWT} refused", f"token eyJh***({len(JWT)}) refused"),
        ("gr1.k1.c2lk.3.bWFjbWFjbWFj", "gr1.***(26)"),
        ("Authorization: Bearer abcdefghijkl", "Authorization: Bearer abcd***(12)"),
        ("authorization: basic YWxpY2U6cHc=", "authorization: basic YWxp***(12)"),
        ("redis://:hunter2@db:6379/0", "redis://:hun***(8)@db:6379/0"),
        ("postgresql://gw:hunter2@db/x", "postgresql://gw:h***(10)@db/x"),
        ('{"password": "hunter2"}', '{"password": "hunt***(7)"}'),
        ("refreshToken=abcdefgh; x=1", "refreshToken=abcd***(8); x=1"),
        ("client_secret=s3cret&x=1", "client_secret=s3cr***(6)&x=1"),
        ("$argon2id$v=19$m=65536,t=3$c2FsdA$aGFzaA", "$arg***(40)"),
        ("$2b$12$abcdefghijklmnopqrstuv", "$2b$***(29)"),
        ("GET https://example.org:8443/a@b", "GET https://example.org:8443/a@b"),
        ("token expired", "token expired"),
        ("DB_PASSWD=hunter2", "DB_PASSWD=hunt***(7)"),
        ("login[0].htpasswd: there is no file", "login[0].htpasswd: there is no file"),
    ],
)
def test_what_looks_like_a_credential_is_masked(text, shown):
    assert mask(text) == shown


@given(st.text())
def test_masking_never_fails_and_is_quick(text):
    assert mask(mask(text)) is not None
