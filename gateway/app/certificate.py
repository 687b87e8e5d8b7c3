"""The listener's certificate: exchanged for new handshakes whenever its files change.

A pair that does not fit together never replaces a good one; connections keep what they began with.
"""

import asyncio
import logging
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from gateway.config.values import Tls

_log = logging.getLogger("gateway.tls")

_LOOK_SECONDS = 2.0

_Fingerprint: TypeAlias = tuple[tuple[int, int, int], ...]


class BadCertificate(Exception):
    """The message names the files and what is wrong with them."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate chain and its key as they were read, and from which files."""

    tls: Tls
    context: ssl.SSLContext
    seen: _Fingerprint


def read(tls: Tls) -> Pair:
    """Read a certificate and its key. Raises BadCertificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # RFC 7301: only what the data plane speaks.
    context.set_alpn_protocols(["http/1.1"])
    try:
        seen = _fingerprint(tls)
        context.load_cert_chain(tls.certificate, tls.key, password=no_password)
    except (OSError, ValueError) as error:
        raise bad_pair("tls", error, tls.certificate, tls.key) from error
    return Pair(tls, context, seen)


def bad_pair(
    key: str, error: OSError | ValueError, certificate: str, private: str
) -> BadCertificate:
    """Say what is wrong with a certificate and its key that *key* of the configuration names."""
    if isinstance(error, ssl.SSLError):
        # Of a file without PEM in it OpenSSL says no more than "PEM lib", and not of which.
        for name, end, what in (
            (certificate, b"CERTIFICATE-----", "certificate"),
            (private, b"PRIVATE KEY-----", "private key"),
        ):
            if end not in Path(name).read_bytes():
                return BadCertificate(f"{key}: {name}: holds no {what} in PEM form")
    return bad(key, error, f"{certificate} with {private}")


def bad(key: str, error: OSError | ValueError, files: str) -> BadCertificate:
    """Say what is wrong with *files* that *key* of the configuration names."""
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or str(error)).lower().replace("_", " ")
        return BadCertificate(f"{key}: {files}: {reason}")
    name = getattr(error, "filename", None) or files
    return BadCertificate(f"{key}: {name}: {getattr(error, 'strerror', None) or error}")


class Certificate:
    """What new handshakes show. `context` is the listener's, for as long as it listens."""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._seen = pair.seen
        # Each handshake is moved to the newest context. The first one goes on holding the keys of
        # session tickets, so that an exchange costs nobody a full handshake.
        self.context = pair.context
        self.context.sni_callback = self._choose

    def use(self, pair: Pair) -> None:
        """Show *pair* from the next handshake on."""
        self._pair = pair
        self._seen = pair.seen

    async def watch(self) -> None:
        """Look at the files for ever."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Read the files again if they changed; a bad pair is told once and changes nothing."""
        try:
            seen = _fingerprint(self._pair.tls)
            if seen == self._seen:
                return
            self._seen = seen
            self.use(read(self._pair.tls))
        except OSError:
            return  # in the middle of being exchanged: not there for a moment
        except BadCertificate as error:
            _log.error("%s; the certificate that was read before stays in use", error)
            return
        _log.info("%s was read again", self._pair.tls.certificate)

    def _choose(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _first: ssl.SSLContext
    ) -> None:
        connection.context = self._pair.context


def _fingerprint(tls: Tls) -> _Fingerprint:
    stats = (Path(name).stat() for name in (tls.certificate, tls.key))
    return tuple((s.st_ino, s.st_size, s.st_mtime_ns) for s in stats)


def no_password() -> str:
    """Nobody is there to type one: without this, OpenSSL would ask the terminal, and wait."""
    raise ValueError("the key is protected by a password")
