"""The field: the upstream and the systems on this machine, started, proven and stopped together."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import browser, proof, upstream
from benchmarks.issuer import Issuer, Tokens
from benchmarks.processes import (
    SYSTEM_CORE,
    Command,
    DidNotStart,
    Process,
    free_port,
    wait_until_listening,
)
from benchmarks.programs import NotInstalled
from benchmarks.systems.gateway import SignInFailed
from benchmarks.systems.system import Site, System
from benchmarks.wrk import Script


@dataclass(frozen=True, slots=True)
class Running:
    """A system that listens, checks what it says it checks, and answers."""

    system: System
    site: Site
    command: Command
    process: Process
    tokens: Tokens

    def script(self, path: str, method: str = "GET", body_bytes: int = 0) -> Script:
        sent = headers(self.system, self.site, self.tokens.good)
        return Script(f"{self.site.url}{path}", sent, method, body_bytes)


@dataclass(slots=True)
class Field:
    folder: Path
    upstream_port: int
    certificate: Path | None = None
    running: list[Running] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def leave_out(self, one: Running, why: str) -> None:
        self.running.remove(one)
        self.left_out[one.system.name] = why


def headers(system: System, site: Site, token: str | None) -> dict[str, str]:
    """A browser's head for *system*, with *token* where that system looks for it."""
    if system.bearer:
        return browser.headers(site.address, None, f"Bearer {token}" if token else None)
    return browser.headers(site.address, token)


@contextlib.contextmanager
def prepared(
    systems: Sequence[System], upstream_port: int | None = None, *, tls: bool = False
) -> Iterator[Field]:
    """Start *systems* before the usual upstream, or before what listens on *upstream_port*.

    With *tls*, all of them show clients the same certificate.
    """
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # nginx and Apache read it as their own users
        port, tls_port = free_port(), free_port()
        places = f"http://127.0.0.1:{port}/issuer", f"https://127.0.0.1:{tls_port}/issuer"
        issuer = Issuer(folder, *places)
        stack.callback(upstream.start(folder, port, tls_port).stop)
        certificate = folder / "certificate.pem" if tls else None
        ready = Field(folder, upstream_port or port, certificate)
        for system in systems:
            if tls and not system.speaks_tls:
                ready.left_out[system.name] = "not configured for TLS here"
                continue
            try:
                ready.running.append(_start(system, ready, issuer, stack))
            except NotInstalled:
                ready.left_out[system.name] = f"not installed: {system.install}"
            except (DidNotStart, SignInFailed, proof.NotProven) as error:
                ready.left_out[system.name] = str(error) or "ended without a word"
        yield ready


def _start(system: System, ready: Field, issuer: Issuer, stack: contextlib.ExitStack) -> Running:
    folder = ready.folder / system.name
    folder.mkdir()
    site = Site(folder, free_port(), ready.upstream_port, issuer, ready.certificate)
    command = system.command(site)
    process = Process(command, SYSTEM_CORE, folder / "output.log")
    stack.callback(process.stop)
    wait_until_listening(process, site.port)
    running = Running(system, site, command, process, system.tokens(site))
    if system.checks_token:
        proof.check(site, running.tokens, lambda token: headers(system, site, token))
    return running
