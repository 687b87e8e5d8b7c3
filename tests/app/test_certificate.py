"""Certificates are exchanged for new handshakes, and only for whole, fitting pairs."""

import asyncio
import ssl

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from gateway.app.certificate import BadCertificate, Certificate, read
from gateway.config.values import Tls
from tests.app.conftest import Browser, Site
from tests.certificates import make_pair, written


def in_config(folder, certificate, key):
    """Write both files, and return them as the configuration names them."""
    written(folder, certificate, key)
    return Tls(str(folder / "tls.crt"), str(folder / "tls.key"))


class Handshakes:
    """A TLS server on a free port, and clients that look at what it shows."""

    def __init__(self, certificate: Certificate) -> None:
        self.certificate = certificate
        self.port = 0

    async def start(self) -> asyncio.Server:
        async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        server = await asyncio.start_server(
            greet, "127.0.0.1", 0, ssl=self.certificate.context, ssl_handshake_timeout=5.0
        )
        self.port = server.sockets[0].getsockname()[1]
        return server


async def shown(port: int, *, name: str | None = "localhost", **limits: object) -> ssl.SSLObject:
    """Do a handshake and return its end."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    for limit, value in limits.items():
        setattr(context, limit, value)
    _, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=name or ""
    )
    try:
        found: ssl.SSLObject = writer.get_extra_info("ssl_object")
        return found
    finally:
        writer.close()


def name_in(connection: ssl.SSLObject) -> str:
    der = connection.getpeercert(binary_form=True)
    assert der is not None
    subject = x509.load_der_x509_certificate(der).subject
    return str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


@pytest.mark.parametrize("name", ["localhost", None])
async def test_new_handshakes_show_the_certificate_whose_files_lie_there_now(tmp_path, name):
    certificate = Certificate(read(in_config(tmp_path, *make_pair("first"))))
    handshakes = Handshakes(certificate)
    async with await handshakes.start():
        assert name_in(await shown(handshakes.port, name=name)) == "first"

        written(tmp_path, *make_pair("second"))
        certificate.look()

        assert name_in(await shown(handshakes.port, name=name)) == "second"


async def test_a_bad_pair_keeps_the_old_one_and_is_told_once(tmp_path, caplog):
    certificate = Certificate(read(in_config(tmp_path, *make_pair("first"))))
    handshakes = Handshakes(certificate)
    async with await handshakes.start():
        another, _ = make_pair("another")
        _, foreign = make_pair("foreign")
        written(tmp_path, another, foreign)
        for _ in range(3):
            certificate.look()

        assert name_in(await shown(handshakes.port)) == "first"
        told = [record.message for record in caplog.records]
        assert len(told) == 1
        assert "key values mismatch" in told[0]

        written(tmp_path, *make_pair("repaired"))
        certificate.look()

        assert name_in(await shown(handshakes.port)) == "repaired"


async def test_files_that_are_gone_for_a_moment_change_nothing(tmp_path, caplog):
    certificate = Certificate(read(in_config(tmp_path, *make_pair("first"))))
    (tmp_path / "tls.key").unlink()

    certificate.look()

    assert caplog.records == []


@pytest.mark.parametrize(
    ("certificate", "key", "why"),
    [
        (b"no certificate", None, "tls.crt: holds no certificate in PEM form"),
        (None, b"no key", "tls.key: holds no private key in PEM form"),
        (None, make_pair("other")[1], "tls.crt with .*tls.key: key values mismatch"),
        (None, "locked", "protected by a password"),
    ],
)
def test_a_bad_pair_does_not_start_and_the_message_names_the_files(tmp_path, certificate, key, why):
    good = make_pair("good", password=b"secret" if key == "locked" else None)
    key = None if key == "locked" else key
    tls = in_config(tmp_path, certificate or good[0], key or good[1])

    with pytest.raises(BadCertificate, match=why):
        read(tls)


async def test_tls_is_1_2_at_least_and_http_1_1_is_what_is_spoken(tmp_path):
    certificate = Certificate(read(in_config(tmp_path, *make_pair("it"))))
    handshakes = Handshakes(certificate)
    async with await handshakes.start():
        newest = await shown(handshakes.port)
        assert newest.selected_alpn_protocol() == "http/1.1"
        assert newest.version() == "TLSv1.3"
        older = await shown(handshakes.port, maximum_version=ssl.TLSVersion.TLSv1_2)
        assert older.version() == "TLSv1.2"


def test_older_protocols_are_refused_by_the_context_itself(tmp_path):
    pair = read(in_config(tmp_path, *make_pair("it")))

    assert pair.context.minimum_version == ssl.TLSVersion.TLSv1_2


async def test_c1_an_https_site_gives_host_cookies_and_serves_over_tls(site: Site):
    written(site.folder, *make_pair("site"))
    site.write(
        tls={"certificate": "tls.crt", "key": "tls.key"}, public_url="https://localhost:8443"
    )
    trusting = ssl.create_default_context(cafile=str(site.folder / "tls.crt"))
    async with site.running() as gateway:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", gateway.port, ssl=trusting, server_hostname="localhost"
        )
        browser = Browser(reader, writer)

        signed_in = await browser.sign_in()

        assert signed_in.status == 200
        assert set(browser.cookies) == {"__Host-accessToken", "__Host-refreshToken"}
        assert signed_in.head.count("; Secure") == 2
        assert (await browser.ask("/private")).status == 200
        assert b"X-Forwarded-Proto: https" in site.upstream.bytes_received
        browser.close()
