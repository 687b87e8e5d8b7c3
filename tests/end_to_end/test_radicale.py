"""Radicale, a CalDAV server nobody here wrote, with `http_x_remote_user` behind the gateway."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.end_to_end.client import ACCESS, Client
from tests.end_to_end.conftest import StartGateway
from tests.end_to_end.running import Running, environment, free_port, until

PROPFIND = b"""<?xml version="1.0"?><propfind xmlns="DAV:"><prop>
<current-user-principal/><resourcetype/><displayname/></prop></propfind>"""
MKCALENDAR = b"""<?xml version="1.0"?><C:mkcalendar xmlns="DAV:"
xmlns:C="urn:ietf:params:xml:ns:caldav"><set><prop><displayname>Tea parties</displayname></prop>
</set></C:mkcalendar>"""
REPORT = b"""<?xml version="1.0"?><C:calendar-query xmlns="DAV:"
xmlns:C="urn:ietf:params:xml:ns:caldav"><prop><getetag/><C:calendar-data/></prop>
<C:filter><C:comp-filter name="VCALENDAR"/></C:filter></C:calendar-query>"""
EVENT = "\r\n".join(
    [
        *("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN", "BEGIN:VEVENT", "UID:tea-1"),
        *("DTSTAMP:20260101T000000Z", "DTSTART:20260102T150000Z", "SUMMARY:Tee mit Hutmacher ☕"),
        *("END:VEVENT", "END:VCALENDAR", ""),
    ]
).encode()
XML = (("Content-Type", "application/xml; charset=utf-8"), ("Depth", "1"))
SPELLINGS = ("X-Remote-User", "X_Remote_User", "x_remote_user", "X-Remote_User", "X.Remote.User")


@pytest.fixture(scope="module")
def radicale(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("radicale")
    port = free_port()
    (folder / "config").write_text(
        f"[server]\nhosts = 127.0.0.1:{port}\n[auth]\ntype = http_x_remote_user\ndelay = 0\n"
        f"[rights]\ntype = owner_only\n[storage]\nfilesystem_folder = {folder}/collections\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "radicale", "--config", folder / "config"],
            cwd=folder,
            env=environment(),
            stdout=log,
            stderr=log,
        )
    try:
        until(lambda: _ready(process, folder / "log"), "Radicale is ready")
        yield port
    finally:
        process.kill()
        process.wait(10)


def _ready(process, log) -> bool:
    text = log.read_text(errors="replace")
    assert process.poll() is None, text
    return "server ready" in text


@pytest.fixture(scope="module")
def fronted(starts_gateways: StartGateway, radicale: int) -> Running:
    return starts_gateways(
        {
            "listen": "127.0.0.1:0",
            "upstreams": {"radicale": f"http://127.0.0.1:{radicale}"},
            "routes": [
                {
                    "path": "/*",
                    "upstream": "radicale",
                    "host": "open.example",
                    "access": "optional",
                },
                {"path": "/*", "upstream": "radicale"},
            ],
            "headers": {"user": "X-Remote-User", "email": None, "name": None, "groups": None},
            "login": [{"users": "users.yaml"}],
        }
    )


@pytest.fixture(params=["cookie", "bearer"])
def alice(fronted: Running, request: pytest.FixtureRequest):
    """How a browser and how a calendar program speak as Alice: (method, path, …) → answer."""
    browser = Client(fronted.port).signed_in()
    if request.param == "cookie":
        return browser.request
    program, bearer = Client(fronted.port), ("Authorization", f"Bearer {browser.access}")

    def speak(method, path, headers=(), **content):
        return program.request(method, path, (*headers, bearer), **content)

    return speak


def test_alice_keeps_a_calendar(alice):
    assert alice("PROPFIND", "/", XML, body=PROPFIND).status == 207
    home = alice("PROPFIND", "/alice/", XML, body=PROPFIND)
    assert home.status == 207
    assert b"<href>/alice/</href>" in home.body, "it is hers"
    alice("DELETE", "/alice/tea/")
    assert alice("MKCALENDAR", "/alice/tea/", XML, body=MKCALENDAR).status == 201
    calendar = (("Content-Type", "text/calendar; charset=utf-8"),)
    put = alice("PUT", "/alice/tea/tea-1.ics", calendar, body=EVENT)
    assert put.status == 201
    etag = put.header("ETag")
    assert etag
    found = alice("REPORT", "/alice/tea/", XML, body=REPORT)
    assert found.status == 207
    assert "Tee mit Hutmacher ☕" in found.body.decode()
    read = alice("GET", "/alice/tea/tea-1.ics")
    assert read.status == 200
    assert read.header("ETag") == etag
    stale = alice("PUT", "/alice/tea/tea-1.ics", (*calendar, ("If-Match", '"old"')), body=EVENT)
    assert stale.status == 412
    assert alice("DELETE", "/alice/tea/tea-1.ics").status == 200


def test_a_calendar_survives_the_expiry_of_a_token(fronted: Running):
    client = Client(fronted.port).signed_in()
    client.forget(ACCESS)
    assert client.request("MKCALENDAR", "/alice/late/", XML, body=MKCALENDAR).status in (201, 409)
    assert ACCESS in client.jar


def test_bob_sees_nothing_of_it(fronted: Running):
    bob = Client(fronted.port).signed_in("bob")
    assert bob.request("PROPFIND", "/alice/", XML, body=PROPFIND).status == 403
    assert bob.request("PROPFIND", "/bob/", XML, body=PROPFIND).status == 207


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_i1_no_header_makes_bob_or_a_stranger_alice(fronted: Running, spelling: str):
    forged = (*XML, (spelling, "alice"))
    bob = Client(fronted.port).signed_in("bob")
    assert bob.request("PROPFIND", "/alice/", forged, body=PROPFIND).status == 403
    stranger = Client(fronted.port)
    assert stranger.request("PROPFIND", "/alice/", forged, body=PROPFIND).status == 401
    stranger.host = "open.example"
    assert stranger.request("PROPFIND", "/alice/", forged, body=PROPFIND).status in (401, 403)


def test_a_forged_header_does_work_where_no_gateway_stands(radicale: int):
    """Measured in Radicale 3.9: that is why no underscore passes."""
    forged = (*XML, ("X_Remote_User", "alice"))
    assert Client(radicale).request("PROPFIND", "/alice/", forged, body=PROPFIND).status == 207
