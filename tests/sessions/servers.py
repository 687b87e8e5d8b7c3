"""Real servers on free loopback ports, for as long as a test run needs them."""

import datetime as dt
import ipaddress
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(ready, what: str, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, f"{what} did not come up"
        time.sleep(0.02)


def answers(port: int, question: bytes = b"PING\r\n", answer: bytes = b"+PONG") -> bool:
    """Whether a Redis at *port* gives *answer* somewhere in its first packet."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(question)
            return answer in connection.recv(4096)
    except OSError:
        return False


class Process:
    """One server process, which a test may stop, freeze or kill."""

    def __init__(self, argv: list[str], *, user: str | None = None) -> None:
        self.argv = argv
        self._user = user if os.geteuid() == 0 else None
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.argv,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            user=self._user,
            group=pwd.getpwnam(self._user).pw_gid if self._user else None,
        )

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            self.thaw()
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


@contextmanager
def folder(owner: str | None = None) -> Iterator[Path]:
    """A folder that a server's own user can reach, which pytest's temporary folders are not."""
    path = Path(tempfile.mkdtemp(prefix="gateway-test-"))
    try:
        if owner and os.geteuid() == 0:
            shutil.chown(path, owner)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def program(name: str, *folders: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *folders]))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


class Postgres(Process):
    @classmethod
    @contextmanager
    def running(cls) -> Iterator["Postgres"]:
        binaries = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"))]
        initdb, postgres = program("initdb", *binaries), program("postgres", *binaries)
        with folder("postgres") as data:
            user = "postgres" if os.geteuid() == 0 else None
            subprocess.run(
                [initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
                check=True,
                capture_output=True,
                user=user,
            )
            port = free_port()
            settings = [
                f"port={port}",
                "listen_addresses=127.0.0.1",
                f"unix_socket_directories={data}",
            ]
            options = [part for setting in [*settings, "fsync=off"] for part in ("-c", setting)]
            server = cls([postgres, "-D", str(data), *options], user="postgres")
            server.port = port
            server.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
            isready = program("pg_isready", *binaries)
            try:
                wait_until(
                    lambda: (
                        not subprocess.run(
                            [isready, "-q", "-h", "127.0.0.1", "-p", str(port)], check=False
                        ).returncode
                    ),
                    "PostgreSQL",
                )
                yield server
            finally:
                # PostgreSQL waits for its clients to leave on SIGTERM, not on SIGINT.
                server.thaw()
                server.process.send_signal(signal.SIGINT)
                server.close()


class Redis(Process):
    """One Redis process."""

    @classmethod
    @contextmanager
    def running(cls, *options: str, port: int | None = None) -> Iterator["Redis"]:
        binary = program("redis-server")
        port = port or free_port()
        with folder() as data:
            server = cls([binary, "--port", str(port), "--dir", str(data), *QUIET, *options])
            server.port = port
            server.url = f"redis://127.0.0.1:{port}/0"
            try:
                if port:
                    wait_until(lambda: answers(port), "Redis")
                yield server
            finally:
                server.close()


QUIET = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]


@contextmanager
def tls_redis() -> Iterator[Redis]:
    """A Redis that speaks nothing but TLS, with a certificate of its own authority."""
    with folder() as place:
        certificate, key = certify(place)
        port = free_port()
        options = ["--tls-port", str(port), "--tls-cert-file", certificate, "--tls-key-file", key]
        options += ["--tls-ca-cert-file", certificate, "--tls-auth-clients", "no"]
        binary = program("redis-server")
        server = Redis([binary, "--port", "0", "--dir", str(place), *QUIET, *options])
        server.url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate}"
        try:
            wait_until(lambda: listens(port), "Redis over TLS")
            yield server
        finally:
            server.close()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def certify(place: Path) -> tuple[str, str]:
    """Make a certificate for 127.0.0.1; return its file and its key's."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (place / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    (place / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(place / "certificate.pem"), str(place / "key.pem")


class SentinelSet:
    """A primary, two replicas and three sentinels that watch them."""

    def __init__(self, redis: list[Redis], sentinels: list[Process], ports: list[int]) -> None:
        self.redis = redis
        self.sentinels = sentinels
        self.url = f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in ports)}/gateway/0"
        self._ports = ports

    def primary(self) -> Redis:
        """Return the process that the sentinels now say is the primary."""
        port = int(cli(self._ports[0], "sentinel", "get-master-addr-by-name", "gateway").split()[1])
        return next(server for server in self.redis if server.port == port)

    @classmethod
    @contextmanager
    def running(cls) -> Iterator["SentinelSet"]:
        with ExitStack() as stack:
            # Copying to the replicas would otherwise begin after five seconds.
            first = stack.enter_context(Redis.running("--repl-diskless-sync-delay", "0"))
            following = ["--replicaof", "127.0.0.1", str(first.port)]
            others = [stack.enter_context(Redis.running(*following)) for _ in range(2)]
            ports, sentinels = [], []
            for _ in range(3):
                port, place = free_port(), stack.enter_context(folder())
                (place / "sentinel.conf").write_text(
                    f"port {port}\nbind 127.0.0.1\n"
                    f"sentinel monitor gateway 127.0.0.1 {first.port} 2\n"
                    "sentinel down-after-milliseconds gateway 500\n"
                    "sentinel failover-timeout gateway 3000\n"
                )
                server = Process(
                    [program("redis-server"), str(place / "sentinel.conf"), "--sentinel"]
                )
                stack.callback(server.close)
                ports.append(port)
                sentinels.append(server)
            wait_until(
                lambda: all(
                    "num-slaves\n2" in (said := cli(port, "sentinel", "master", "gateway"))
                    and "num-other-sentinels\n2" in said
                    for port in ports
                ),
                "Sentinel",
                30,
            )
            wait_until(
                lambda: all(
                    "master_link_status:up" in cli(one.port, "info", "replication")
                    for one in others
                ),
                "replication",
            )
            yield cls([first, *others], sentinels, ports)


class ClusterSet:
    """Three primaries that share the slots."""

    def __init__(self, redis: list[Redis]) -> None:
        self.redis = redis
        self.url = f"redis+cluster://{','.join(f'127.0.0.1:{one.port}' for one in redis)}"

    @classmethod
    @contextmanager
    def running(cls) -> Iterator["ClusterSet"]:
        with ExitStack() as stack:
            options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]
            nodes = [
                stack.enter_context(Redis.running(*options, port=free_cluster_port()))
                for _ in range(3)
            ]
            addresses = [f"127.0.0.1:{node.port}" for node in nodes]
            cli(nodes[0].port, "--cluster", "create", *addresses, "--cluster-yes")
            wait_until(
                lambda: all("cluster_state:ok" in cli(n.port, "cluster", "info") for n in nodes),
                "Redis Cluster",
            )
            yield cls(nodes)


def free_cluster_port() -> int:
    """A cluster node also talks on its port + 10000."""
    while True:
        port = free_port() % 20_000 + 20_000
        if not listens(port) and not listens(port + 10_000):
            return port


def cli(port: int, *words: str) -> str:
    command = [program("redis-cli"), "-p", str(port), *words]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout
