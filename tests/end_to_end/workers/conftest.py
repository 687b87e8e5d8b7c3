"""A gateway of several workers for each test, and an app of its own behind it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import StartGateway
from tests.end_to_end.echo_app import EchoApp
from tests.end_to_end.workers.site import Site


@pytest.fixture
def app() -> Iterator[EchoApp]:
    with EchoApp().running() as running:
        yield running


@pytest.fixture
def site(start_gateway: StartGateway, app: EchoApp, tmp_path: Path) -> Iterator[Site]:
    site = Site(start_gateway, app, tmp_path)
    yield site
    site.close()
