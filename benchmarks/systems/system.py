"""What a system under test is: how to start it before the upstream, and what proves who asks."""

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

    @property
    def upstream(self) -> str:
        return f"127.0.0.1:{self.upstream_port}"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


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
