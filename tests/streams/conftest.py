"""Gateway processes between raw clients and a raw app."""

import ssl
from collections.abc import Iterator

import pytest

from tests.certificates import Authority
from tests.end_to_end.running import start
from tests.streams.raw_app import Way, config, raw_app, write_certificate


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Iterator[Way]:
    """http on both sides."""
    with raw_app() as app:
        gateway = start(tmp_path_factory.mktemp("plain"), config(app))
        way = Way(gateway, app).warm()
        yield way
        way.close()
        gateway.stop()


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory) -> Iterator[Way]:
    """https on both sides."""
    folder = tmp_path_factory.mktemp("encrypted")
    authority = Authority()
    context = write_certificate(folder, *authority.issue("localhost", "127.0.0.1"))
    (folder / "ca.crt").write_bytes(authority.certificate)
    with raw_app(context) as app:
        upstream = {"targets": [f"https://127.0.0.1:{app.port}"], "ca": "ca.crt"}
        tls = {"certificate": "tls.crt", "key": "tls.key"}
        gateway = start(folder, config(app, tls=tls, upstreams={"app": upstream}))
        trust = ssl.create_default_context(cadata=authority.certificate.decode())
        way = Way(gateway, app, trust).warm()
        yield way
        way.close()
        gateway.stop()


@pytest.fixture(params=["plain", "encrypted"])
def way(request) -> Way:
    """Either of them."""
    found: Way = request.getfixturevalue(request.param)
    return found
