"""One socket for each process on one port, and nobody else's port is shared by accident."""

import socket
import stat

import pytest

from gateway.app.sockets import CannotListen, open_sockets
from gateway.config.values import TcpAddress, UnixAddress


def close(opened):
    for sockets in opened:
        for each in sockets:
            each.close()


def test_each_process_gets_a_socket_of_its_own_on_the_same_port():
    opened = open_sockets(TcpAddress("127.0.0.1", 0), 3)
    try:
        ports = {each.getsockname()[1] for sockets in opened for each in sockets}

        assert len(opened) == 3
        assert len(ports) == 1
        assert len({each.fileno() for sockets in opened for each in sockets}) == 3
    finally:
        close(opened)


@pytest.mark.parametrize("sharers", [1, 2])
def test_a_port_that_another_gateway_shares_with_its_own_workers_is_taken(sharers):
    first = open_sockets(TcpAddress("127.0.0.1", 0), 2)
    for (each,) in first:
        each.listen()
    port = first[0][0].getsockname()[1]
    try:
        with pytest.raises(CannotListen, match=f"cannot listen on 127.0.0.1:{port}: Address"):
            open_sockets(TcpAddress("127.0.0.1", port), sharers)
    finally:
        close(first)


def test_a_name_of_several_addresses_is_listened_to_on_all_of_them():
    opened = open_sockets(TcpAddress("localhost", 0), 2)
    try:
        families = [each.family for each in opened[0]]

        assert families == [each.family for each in opened[1]]
        assert socket.AF_INET in families
    finally:
        close(opened)


def test_a_unix_socket_is_one_for_all_and_replaces_one_that_nobody_answers_at(tmp_path):
    path = tmp_path / "gateway.sock"
    left_behind = socket.socket(socket.AF_UNIX)
    left_behind.bind(str(path))
    left_behind.close()

    opened = open_sockets(UnixAddress(str(path)), 2)
    try:
        assert opened[0] == opened[1]
        assert stat.S_ISSOCK(path.stat().st_mode)
    finally:
        close(opened[:1])


def test_a_unix_socket_that_somebody_answers_at_is_left_alone(tmp_path):
    path = str(tmp_path / "gateway.sock")
    opened = open_sockets(UnixAddress(path))
    opened[0][0].listen()
    try:
        with pytest.raises(CannotListen, match=r"gateway.sock: Address already in use"):
            open_sockets(UnixAddress(path))
    finally:
        close(opened)


def test_a_file_of_somebody_is_never_removed(tmp_path):
    path = tmp_path / "precious"
    path.write_text("mine")

    with pytest.raises(CannotListen):
        open_sockets(UnixAddress(str(path)))

    assert path.read_text() == "mine"
