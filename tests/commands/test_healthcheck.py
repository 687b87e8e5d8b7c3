"""`gateway healthcheck` asks the very listener that the configuration names."""

import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.commands.healthcheck import healthcheck
from tests.config.written import SMALLEST, written


class _Answer(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.server.heard.append(self.rfile.readline().decode())  # type: ignore[attr-defined]
        while self.rfile.readline().strip():
            pass
        self.wfile.write(self.server.answer)  # type: ignore[attr-defined]


@contextmanager
def answering(server: socketserver.BaseServer, answer: bytes) -> Iterator[list[str]]:
    heard: list[str] = []
    server.answer, server.heard = answer, heard  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def asked(folder: Path, more: str) -> Result:
    path = written(folder, SMALLEST + more)
    return CliRunner().invoke(healthcheck, ["-c", str(path), "--timeout", "2"])


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_gateway_that_answers_200_is_healthy(tmp_path: Path, host: str) -> None:
    server = socketserver.TCPServer(("127.0.0.1", 0), _Answer)
    with answering(server, OK) as heard:
        result = asked(tmp_path, f"listen: {host}:{server.server_address[1]}\n")

    assert (result.exit_code, result.stdout) == (0, "healthy\n")
    assert heard == ["GET /api/v1/auth/health HTTP/1.1\r\n"]


def test_a_unix_socket_is_asked_as_well(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with answering(socketserver.UnixStreamServer(str(path), _Answer), OK) as heard:
        result = asked(tmp_path, f"listen: unix:{path}\nauth: {{prefix: /gate}}\n")

    assert result.exit_code == 0
    assert heard == ["GET /gate/health HTTP/1.1\r\n"]


def test_a_listener_with_a_certificate_for_another_name_is_asked_as_well(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    server = socketserver.TCPServer(("127.0.0.1", 0), _Answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with answering(server, OK):
        result = asked(
            tmp_path,
            f"listen: 127.0.0.1:{server.server_address[1]}\n"
            f"tls: {{certificate: {certificate}, key: {key}}}\n",
        )

    assert (result.exit_code, result.stdout) == (0, "healthy\n")


def self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app.example.com")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (folder / "c.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "k.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder / "c.pem", folder / "k.pem"


def test_a_listener_that_expects_a_header_is_sent_one_of_its_own(tmp_path: Path) -> None:
    server = socketserver.TCPServer(("127.0.0.1", 0), _Answer)
    with answering(server, OK) as heard:
        result = asked(
            tmp_path,
            f"listen: 127.0.0.1:{server.server_address[1]}\n"
            "proxy_protocol: true\ntrusted_proxies: [127.0.0.1]\n",
        )

    # The fake knows nothing of headers: one that begins with two line ends is a request to it.
    assert heard == ["\r\n"]
    assert "trusted_proxies" not in result.stderr


def test_whoever_is_closed_for_want_of_trust_is_told_what_to_set(tmp_path: Path) -> None:
    server = socketserver.TCPServer(("127.0.0.1", 0), _Answer)
    with answering(server, b""):
        result = asked(
            tmp_path,
            f"listen: 127.0.0.1:{server.server_address[1]}\n"
            "proxy_protocol: true\ntrusted_proxies: [10.0.0.5]\n",
        )

    assert result.exit_code == 1
    assert "such as 127.0.0.1" in result.stderr


def test_the_operations_port_is_asked_where_there_is_one(tmp_path: Path) -> None:
    server = socketserver.TCPServer(("127.0.0.1", 0), _Answer)
    with answering(server, OK) as heard:
        result = asked(tmp_path, f"operations: 127.0.0.1:{server.server_address[1]}\n")

    assert result.exit_code == 0
    assert heard == ["GET /healthz HTTP/1.1\r\n"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "unhealthy: answered 503\n"),
        (b"", "unhealthy: Remote end closed connection without response\n"),
        (b"nonsense\r\n\r\n", "unhealthy: nonsense\n"),
    ],
)
def test_any_other_answer_is_unhealthy(tmp_path: Path, answer: bytes, message: str) -> None:
    server = socketserver.TCPServer(("127.0.0.1", 0), _Answer)
    with answering(server, answer):
        result = asked(tmp_path, f"listen: 127.0.0.1:{server.server_address[1]}\n")

    assert result.exit_code == 1
    assert result.stderr.strip() == message.strip()


def test_nobody_listening_is_unhealthy(tmp_path: Path) -> None:
    result = asked(tmp_path, f"listen: unix:{tmp_path}/none\n")

    assert result.exit_code == 1
    assert "unhealthy" in result.stderr
