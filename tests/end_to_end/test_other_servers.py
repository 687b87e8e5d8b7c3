"""What the rules saw is what the app resolved, with servers that others wrote (P1, P2, H5, H6, I1).

A table of spellings goes to nginx, to Node programs and to Django under gunicorn and waitress, each
behind the same rules. Every server tells which path it would serve. The same spellings sent to the
servers directly do fool a rule that looks at the bytes, so these tests can fail.
"""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import unquote_to_bytes

import pytest

from gateway.request import parse_target, split_absolute_form
from tests.end_to_end.client import Client, exchange
from tests.end_to_end.conftest import StartGateway
from tests.end_to_end.other_servers import django, nginx, node
from tests.end_to_end.running import Running

SERVERS = (
    *("nginx-files", "nginx", "nginx-unmerged", "node-url", "node-url-decoded"),
    *("node-decoded-url", "node-naive", "node-legacy", "node-twice"),
    *("gunicorn", "gunicorn-lax", "waitress"),
)
# From below /public/ to /admin/, and to /admin/ under another name; {host} is the request's own.
CLIMBS = (
    *("/..", "/%2e%2e", "/%2E%2e", "/.%2e", "/%2e.", "/%252e%252e", "/%25252e%25252e", "/..;"),
    *("/..;a=b", "/..%3b", "/%2e%2e;", "/..%2f..", "/..%5c..", "/..%2f", "/..%252f", "/%2e%2e%2f"),
    *("\\..", "/..\\", "/%5c..", "/..%5c", "/..%00", "%00/..", "/..%20", "/..%09", "/..%0a"),
    *("/%c0%ae%c0%ae", "/%e0%80%ae%e0%80%ae", "/%f8%80%80%80%ae", "/..%c0%af", "/..%25c0%25af"),
    *("/%u002e%u002e", "/%%32e%%32e", "/%2", "//..", "/..//", "//../", "/./..", "/%2e/..", "/..?"),
    *("?/..", "#/..", "%3f/..", "%23/..", "/%3f/../..", "/x/../..", "/x%2f..%2f..", ";/..", "/..."),
)
NAMES = (
    *("//admin/x", "///admin/x", "//x/admin/x", "///x/admin/x", "//public/admin/x"),
    *("//x:80/admin/x", "//u@x/admin/x", "/%2fx/admin/x", "/%2Fx/admin/x", "/%2f/x/admin/x"),
    *("/%252fx/admin/x", "/\\x/admin/x", "/%5cx/admin/x", "/./admin/x", "/.//admin/x"),
    *("/%2e/admin/x", "/;/admin/x", "/;a/admin/x", "/a/;/../admin/x", "/public/..%2fadmin%2fx"),
    *("/%61dmin/x", "/%2561dmin/x", "/%61%64%6d%69%6e/x", "/adm%69n%2fx", "/admin%2fx"),
    *("/admin%252fx", "/admin%3bx", "/admin;a/x", "/admin;/x", "/admin%3b/x", "/admin%3fx"),
    *("/admin%23x", "/admin%253fx", "/admin%3f/public/", "/admin?/public/", "/admin#/public/"),
    *("/admin%23/public/", "/admin%00/x", "/admin%0a/x", "/admin%0d%0a/x", "/admin%20/x"),
    *("/admin./x", "/ADMIN/x", "/Admin/x", "/admin%ef%bc%8fx", "/admin", "/admin/", "/admin//x"),
    *("/admin\\x", "/admin%5cx", "/admin\tx", "/admin x", "/admin\xa0/x", "/admin%a0/x"),
    *("*", "admin/x", "?/admin/x", "http:/admin/x", "http:admin/x", "http:///admin/x"),
    *("http://{host}/admin/x", "http://{host}/public/../admin/x", "http://{host}//x/admin/x"),
    *("HTTP://{host}/admin/x", "http://{host}:1/public/x", "http://{host}@x/public/x"),
    *("http://x/public/x", "http://x/admin/x", "https://{host}?/admin/x", "ftp://{host}/admin/x"),
    *("http://{host}/public/%2e%2e/admin/x", "http://{host}\\@x/admin/x"),
)
HARMLESS = (
    *("/public/x", "/public/caf%C3%A9", "/public/caf%E9", "/public/%7Euser", "/public/a;b=c"),
    *("/public/a%2Fb", "/public//x", "/public/x%3f", "/public/x%23", "/public/x?../admin/x"),
    *("/public/a%20b", "/public/%25", "/public/x?a=%00", "/public/admin/x", "/public/a|b", "/x"),
    *("/public/a%3Bb", "/public/", "/public/.well-known", "http://{host}/public/x"),
)
SPELLINGS = (*(f"/public{climb}/admin/x" for climb in CLIMBS), *NAMES, *HARMLESS)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """The ports of all servers, by name."""
    with ExitStack() as running:
        yield {
            **running.enter_context(nginx(tmp_path_factory.mktemp("nginx"))),
            **running.enter_context(node()),
            **running.enter_context(django()),
        }


@pytest.fixture(scope="module")
def fronted(starts_gateways: StartGateway, servers: dict[str, int]) -> Running:
    """Two tables of rules before each server: what is public is named, and what is not is named."""
    admins = {"groups": ["admins"]}
    routes = []
    for name in servers:
        for table, rest in (("named", "signed-in"), ("rest", "public")):
            common = {"upstream": name, "host": f"{name}.{table}.example"}
            routes += [
                {"path": "/public/*", "access": "public", **common},
                {"path": "/admin", "access": admins, **common},
                {"path": "/admin/*", "access": admins, **common},
                # Below a prefix that the app does not see, the same again.
                {"path": "/app/admin", "access": admins, "strip_prefix": "/app", **common},
                {"path": "/app/admin/*", "access": admins, "strip_prefix": "/app", **common},
                {"path": "/app/*", "access": rest, "strip_prefix": "/app", **common},
                {"path": "/*", "access": rest, **common},
            ]
    return starts_gateways(
        {
            "listen": "127.0.0.1:0",
            "upstreams": {name: f"http://127.0.0.1:{port}" for name, port in servers.items()},
            "routes": routes,
            "login": [{"users": "users.yaml"}],
        }
    )


@pytest.fixture(scope="module")
def cookies(fronted: Running) -> dict[str, str]:
    """What nobody, Bob (of no admins) and Alice (of the admins) send as Cookie."""
    bob, alice = (Client(fronted.port).signed_in(name) for name in ("bob", "alice"))
    return {"nobody": "", "bob": bob.cookie_header("/"), "alice": alice.cookie_header("/")}


def resolved(port: int, target: str, host: str, cookie: str = "") -> bytes | None:
    """Return the path that a server says it would serve; None where it does not answer that."""
    lines = f"Host: {host}\r\n" + (f"Cookie: {cookie}\r\n" if cookie else "")
    raw = f"GET {target.format(host=host)} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n"
    head, _, body = exchange(port, raw.encode("latin-1")).partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        return None
    if b"\r\ntransfer-encoding: chunked" in head.lower():
        body = b"".join(re.findall(rb"(?s)[0-9a-f]+\r\n(.+?)\r\n", body))
    return body


def is_admins(path: bytes) -> bool:
    """Whether an app would take it for a path of admins, by case or not."""
    return path.lower() == b"/admin" or path.lower().startswith(b"/admin/")


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("below", ["", "/app"], ids=["whole", "prefix stripped"])
def test_p1_nobody_gets_what_the_app_resolves_to_a_path_of_others(
    fronted: Running, cookies: dict[str, str], name: str, below: str
):
    served = 0
    for spelling in SPELLINGS:
        target = below + spelling if spelling.startswith("/") else spelling
        for who, table in (("nobody", "named"), ("nobody", "rest"), ("bob", "named")):
            path = resolved(fronted.port, target, f"{name}.{table}.example", cookies[who])
            if path is None:
                continue
            served += 1
            assert not is_admins(path), (spelling, who, table, path)
            if who == "nobody" and table == "named":
                assert path.startswith(b"/public/"), (spelling, path)
    assert served > 5


@pytest.mark.parametrize("name", SERVERS)
def test_p1_what_the_app_resolved_is_among_what_the_rules_saw(
    fronted: Running, cookies: dict[str, str], name: str
):
    """Alice may go anywhere, so every spelling that is no bad request arrives."""
    arrived = 0
    for spelling in SPELLINGS:
        host = f"{name}.named.example"
        path = resolved(fronted.port, spelling, host, cookies["alice"])
        if path is None:
            continue
        arrived += 1
        absolute = split_absolute_form(spelling.format(host=host))
        seen = parse_target(spelling if absolute is None else absolute[1])
        readings = {seen.path, *seen.readings}
        # A path that was not decoded, or an app that answers in escapes, is the same path.
        octets = {octet for each in readings for octet in _octets(each)}
        assert path in octets or unquote_to_bytes(path) in octets, (spelling, path, readings)
    assert arrived > 5


def _octets(path: str) -> set[bytes]:
    """As servers may tell it: in UTF-8, or byte for byte; Django shows U+FFFD where that fails."""
    found = {path.encode()}
    if all(ord(letter) < 256 for letter in path):
        latin = path.encode("latin-1")
        found |= {latin, latin.decode(errors="replace").encode()}
    return found


@pytest.mark.parametrize("name", SERVERS)
def test_p1_without_the_gateway_a_rule_that_looks_at_bytes_is_fooled(
    servers: dict[str, int], name: str
):
    fooled = [
        spelling
        for spelling in SPELLINGS
        if not spelling.startswith("/admin")
        and is_admins(resolved(servers[name], spelling, "x.example") or b"")
    ]
    assert fooled, "the server takes no spelling for another"


IDENTITY = "X-Forwarded-User"
FORGED = (
    *("X-Forwarded-User: alice", "x-forwarded-user: alice", "X_Forwarded_User: alice"),
    *("X-Forwarded_User: alice", "X.Forwarded.User: alice", "X-Forwarded-User : alice"),
    *("X-Forwarded-User\t: alice", " X-Forwarded-User: alice", "X-Forwarded-User:alice"),
    *(
        "X-Forwarded-User:\r\n alice",
        "X-A: b\r\n X-Forwarded-User: alice",
        "X~Forwarded~User: alice",
    ),
    *("X-Forwarded-User: alice\r\nX-Forwarded-User: alice", "X-A: b\nX-Forwarded-User: alice"),
    *("X-A: b\rX-Forwarded-User: alice", "Connection: X-Forwarded-User\r\nX_Forwarded_User: alice"),
    *("X-Forwarded-User: \x00alice", "X-Forwarded-User\x00: alice", "HTTP_X_FORWARDED_USER: alice"),
    *("X\xadForwarded-User: alice", "X-Forwarded-User\x0b: alice"),
)


def heard(port: int, host: str, cookie: str, forged: str) -> str | None:
    """Return what the app takes for the name of the person; None if it was not asked."""
    lines = f"Host: {host}\r\n{forged}\r\n" + (f"Cookie: {cookie}\r\n" if cookie else "")
    raw = f"GET /headers HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode("latin-1")
    head, _, body = exchange(port, raw).partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        return None
    headers = json.loads(re.search(rb"(?s)\{.*\}", body)[0])
    folded = {re.sub("[^a-z0-9]", "-", k.lower()).removeprefix("http-"): k for k in headers}
    named = folded.get(IDENTITY.lower())
    return "" if named is None else headers[named]


TELLING = ("nginx", "node-url", "gunicorn", "gunicorn-lax", "waitress")


@pytest.mark.parametrize("name", TELLING)
def test_i1_i2_no_server_takes_a_forged_header_for_ours(
    fronted: Running, cookies: dict[str, str], name: str
):
    for forged in FORGED:
        by_nobody = heard(fronted.port, f"{name}.rest.example", "", forged)
        by_bob = heard(fronted.port, f"{name}.named.example", cookies["bob"], forged)
        assert by_nobody in ("", None), forged
        assert by_bob in ("bob", None), forged
        assert (by_bob is None) == (by_nobody is None), "refused for both or for none"
    assert heard(fronted.port, f"{name}.named.example", cookies["bob"], "X-A: b") == "bob"


@pytest.mark.parametrize("name", TELLING)
def test_i1_without_the_gateway_a_forged_header_is_believed(servers: dict[str, int], name: str):
    fooled = [
        forged for forged in FORGED if "alice" in (heard(servers[name], "a", "", forged) or "")
    ]
    assert "X-Forwarded-User: alice" in fooled
    if name == "gunicorn-lax":
        assert "X_Forwarded_User: alice" in fooled


@pytest.mark.parametrize("name", ["gunicorn", "gunicorn-lax", "waitress"])
@pytest.mark.parametrize(
    "forged", ["SCRIPT_NAME: /public", "PATH_INFO: /admin/x", "Script-Name: /x"]
)
def test_p1_no_header_moves_a_path(fronted: Running, name: str, forged: str):
    """Gunicorn lets its front end set these two, and takes any local client for that."""
    raw = f"GET /public/x HTTP/1.1\r\nHost: {name}.named.example\r\n{forged}\r\n"
    answer = exchange(fronted.port, f"{raw}Connection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"/public/x" in answer.partition(b"\r\n\r\n")[2]
