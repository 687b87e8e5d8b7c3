"""What a system under test is: how to start it before the upstream, and what proves who asks."""

import http.client
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.issuer import Algorithm, Issuer, Tokens
from benchmarks.processes import Command


@dataclass(frozen=True, slots=True)
class Site:
    """The place a system is given: a folder of its own, a port, and the upstream behind it."""

    folder: Path
    port: int
    upstream_port: int
    issuer: Issuer
    certificate: Path | None = None  # of the TLS that it speaks; the key lies beside it

    @property
    def upstream(self) -> str:
        return f"127.0.0.1:{self.upstream_port}"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def key(self) -> Path | None:
        return self.certificate and self.certificate.with_name("certificate-key.pem")

    @property
    def url(self) -> str:
        return f"http{'s' if self.certificate else ''}://{self.address}"

    def connect(self) -> http.client.HTTPConnection:
        """Return a client of this place, which takes whatever certificate it shows."""
        if self.certificate is None:
            return http.client.HTTPConnection(self.address, timeout=10)
        anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anybody.check_hostname = False
        anybody.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(self.address, timeout=10, context=anybody)


def issued(algorithm: Algorithm, site: Site) -> Tokens:
    """Tokens of the benchmark's own issuer, whose public key or secret the peers are given."""
    return site.issuer.tokens(algorithm)


@dataclass(frozen=True, slots=True)
class System:
    name: str
    does: str
    install: str
    command: Callable[[Site], Command]
    tokens: Callable[[Site], Tokens]
    checks_token: bool = True
    bearer: bool = False  # the token rides in Authorization, for want of a way to name a cookie
    speaks_tls: bool = False  # as far as it is configured here
