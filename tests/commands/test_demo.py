"""`gateway demo` finds a place to listen, or says why not."""

import socket

from click.testing import CliRunner

from gateway.commands.demo import _any_port, _is_free, demo


def test_a_port_that_is_taken_is_told_before_anything_starts():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        done = CliRunner().invoke(demo, ["--port", str(port)])

    assert done.exit_code == 1
    assert f"127.0.0.1:{port}" in done.output
    assert "sign in" not in done.output


def test_any_free_port_will_do_where_the_usual_one_is_taken():
    assert _is_free(_any_port())
