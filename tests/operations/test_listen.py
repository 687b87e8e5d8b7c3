"""The port exists where it was configured, and nowhere else."""

import socket

import pytest
from aiohttp import ClientSession, UnixConnector

from gateway.operations.app import build
from gateway.operations.listen import listen


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def test_it_listens_on_its_address_and_ends(running):
    port = free_port()

    runner = await listen(build(running.operations()), host="127.0.0.1", port=port)

    assert runner.addresses == [("127.0.0.1", port)]
    async with ClientSession() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/healthz")
        assert answer.status == 200
    await runner.cleanup()
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass


async def test_it_listens_on_a_unix_socket(running, tmp_path):
    path = str(tmp_path / "operations.sock")

    runner = await listen(build(running.operations()), path=path)

    async with ClientSession(connector=UnixConnector(path)) as client:
        answer = await client.get("http://localhost/healthz")
        assert answer.status == 200
    await runner.cleanup()


async def test_without_an_address_it_does_not_listen_everywhere(running):
    with pytest.raises(ValueError, match="needs an address"):
        await listen(build(running.operations()), port=9091)


async def test_an_address_that_is_taken_is_told(running):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        with pytest.raises(OSError, match="in use"):
            await listen(build(running.operations()), host="127.0.0.1", port=taken.getsockname()[1])
