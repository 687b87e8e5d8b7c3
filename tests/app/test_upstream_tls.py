"""Upstreams that speak https: verified always, shown our certificate, and both exchanged live."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.app.certificate import BadCertificate
from gateway.app.dialling import upstream_tls
from gateway.app.names import Names
from tests.app.conftest import Browser, Site
from tests.certificates import Authority, make_pair
from tests.fakes import OK, RecordingUpstream

NAME = "app.internal"


@dataclass
class Shown:
    """What clients of the app have shown and asked for."""

    names: list[str | None] = field(default_factory=list)
    certificates: list[dict] = field(default_factory=list)


class TlsApp(RecordingUpstream):
    """An app behind TLS, which may ask for a certificate."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.shown = Shown()
        self._folder = folder

    async def serve(self, pair: tuple[bytes, bytes], clients: Authority | None = None) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        for name, content in zip(("app.crt", "app.key"), pair, strict=True):
            (self._folder / name).write_bytes(content)
        context.load_cert_chain(self._folder / "app.crt", self._folder / "app.key")
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=clients.certificate.decode())
        context.sni_callback = lambda _end, name, _context: self.shown.names.append(name)
        self._server = await asyncio.start_server(self._noting, "127.0.0.1", self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _noting(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.shown.certificates.append(writer.get_extra_info("peercert"))
        await self._serve(reader, writer)


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[TlsApp]:
    app = TlsApp(tmp_path)
    yield app
    await app.stop()


@asynccontextmanager
async def asking(site: Site, app: TlsApp, name: str = NAME, **upstream: object):
    """Run a gateway in front of *app* under its *name*, and give a browser."""
    site.write(log={"level": "warning", "access": False})
    site.write(upstreams={"app": {"targets": f"https://{name}:{app.port}", **upstream}})
    async with site.running() as gateway:
        gateway.foundation.names._look_up = lambda _host, port: Names()._look_up("127.0.0.1", port)
        browser = await Browser.open(gateway.port)
        yield gateway, browser
        browser.close()


def put(folder: Path, name: str, content: bytes) -> str:
    (folder / f"{name}.new").write_bytes(content)
    (folder / f"{name}.new").replace(folder / name)
    return name


async def test_a_private_authority_is_trusted_where_it_is_named(site: Site, app: TlsApp):
    authority = Authority()
    await app.serve(authority.issue(NAME))
    ca = put(site.folder, "ca.crt", authority.certificate)

    async with asking(site, app, ca=ca) as (_, browser):
        assert (await browser.ask("/open/x")).status == 200
        assert (await browser.ask("/open/y")).status == 200

    assert app.shown.names == [NAME], "one handshake, and the name in it"
    assert b"\r\nHost: localhost\r\n" in app.heads[0]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("system", "self-signed certificate in certificate chain|unable to get local issuer"),
        ("wrong name", "Hostname mismatch"),
        ("expired", "certificate has expired"),
    ],
)
async def test_what_cannot_be_verified_is_a_502_and_the_log_says_why(
    site: Site, app: TlsApp, caplog, case, said
):
    authority = Authority()
    match case:
        case "wrong name":
            await app.serve(authority.issue("other.internal"))
        case _:
            await app.serve(authority.issue(NAME, days=-1 if case == "expired" else 1))
    trusted = {} if case == "system" else {"ca": put(site.folder, "ca.crt", authority.certificate)}

    async with asking(site, app, **trusted) as (gateway, browser):
        assert (await browser.ask("/open/x")).status == 502
        assert 'kind="connect",upstream="app"' in gateway.operating.own_metrics()

    told = [r.getMessage() for r in caplog.records if "upstream app" in r.getMessage()]
    assert any(re.search(said, each) for each in told), told
    assert b"GET" not in app.bytes_received


async def test_an_address_is_verified_as_an_address(site: Site, app: TlsApp):
    authority = Authority()
    await app.serve(authority.issue("127.0.0.1"))
    ca = put(site.folder, "ca.crt", authority.certificate)

    async with asking(site, app, "127.0.0.1", ca=ca, host="upstream") as (_, browser):
        assert (await browser.ask("/open/x")).status == 200

    assert app.shown.names == [None]
    assert f"\r\nHost: 127.0.0.1:{app.port}\r\n".encode() in app.heads[0]


async def test_an_app_that_asks_for_a_certificate_gets_ours(site: Site, app: TlsApp):
    authority, clients = Authority(), Authority("Clients")
    await app.serve(authority.issue(NAME), clients)
    ca = put(site.folder, "ca.crt", authority.certificate)
    certificate, key = clients.issue("gateway")
    ours = {
        "certificate": put(site.folder, "client.crt", certificate),
        "key": put(site.folder, "client.key", key),
    }

    async with asking(site, app, ca=ca) as (_, browser):
        assert (await browser.ask("/open/x")).status == 502
    async with asking(site, app, ca=ca, **ours) as (_, browser):
        assert (await browser.ask("/open/x")).status == 200

    assert app.shown.certificates[-1]["subject"] == ((("commonName", "gateway"),),)


async def test_health_is_asked_over_tls_too(site: Site, app: TlsApp):
    authority = Authority()
    await app.serve(authority.issue(NAME))
    app.answer = lambda head: OK if b"GET /well " in head else OK.replace(b"200", b"500")
    ca = put(site.folder, "ca.crt", authority.certificate)

    async with asking(site, app, ca=ca, health={"path": "/well", "interval": "20ms"}) as (
        gateway,
        _,
    ):
        await app.until(lambda: len(app.heads) > 2)
        assert gateway.generation.plane.upstreams["app"].available()

    assert f"\r\nHost: {NAME}:{app.port}\r\n".encode() in app.heads[0]


async def test_exchanged_files_are_taken_up_without_a_word_to_the_gateway(
    site: Site, app: TlsApp, monkeypatch
):
    monkeypatch.setattr("gateway.app.source.LOOK_SECONDS", 0.05)
    old, new = Authority("old"), Authority("new")
    await app.serve(new.issue(NAME))
    ca = put(site.folder, "ca.crt", old.certificate)

    async with asking(site, app, ca=ca) as (gateway, browser):
        assert (await browser.ask("/open/x")).status == 502
        before = gateway.generation
        put(site.folder, "ca.crt", b"half of it")
        async with asyncio.timeout(5):
            while "last_reload_success 0" not in gateway.operating.own_metrics():
                await asyncio.sleep(0.01)
        assert gateway.generation is before

        put(site.folder, "ca.crt", new.certificate)
        async with asyncio.timeout(5):
            while gateway.generation is before:
                await asyncio.sleep(0.01)
        assert (await browser.ask("/open/x")).status == 200


@pytest.mark.parametrize(
    ("ca", "certificate", "key", "said"),
    [
        (b"no certificate", None, None, "upstreams.app: .*ca.crt: "),
        (None, b"no certificate", b"no key", "upstreams.app: .*client.crt: holds no certificate"),
        (None, None, "locked", "protected by a password"),
    ],
)
def test_a_bad_file_is_refused_and_named_and_nobody_is_asked_for_a_password(
    site: Site, ca, certificate, key, said
):
    good = make_pair("good", password=b"secret" if key == "locked" else None)
    section = {"targets": f"https://{NAME}"}
    if ca:
        section["ca"] = put(site.folder, "ca.crt", ca)
    else:
        section["certificate"] = put(site.folder, "client.crt", certificate or good[0])
        section["key"] = put(site.folder, "client.key", good[1] if key == "locked" else key)
    site.write(upstreams={"app": section})

    with pytest.raises(BadCertificate, match=said):
        upstream_tls(site.source.read().upstreams["app"])
