"""Keeps our private keys in a folder of PEM files, one per key, named after it.

A key file appears whole or not at all, two processes starting at once agree on one key, and a
folder gone bad never replaces a good set of keys.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from gateway.tokens.algorithms import (
    AsymmetricKey,
    UnfitKey,
    VerifyingKey,
    algorithm_of,
    fit,
    public_jwk,
)
from gateway.tokens.keys import KeySet, SigningKey

# The name travels in every token, so it is short and needs no escaping.
_KID = re.compile(r"[A-Za-z0-9_-]{1,32}")
# RFC 7468 §2 allows text before the key. A file's own time survives neither a copy nor a mount.
_CREATED = re.compile(rb"\ACreated: (\S+)\n")
_READABLE_BY_OTHERS = 0o077

Fingerprint = tuple[tuple[str, int, int, int, int], ...]


class KeyFolderError(Exception):
    """The folder cannot be used; the message names the file and what is wrong with it."""


class KeyFolder:
    """A folder of keys, and the set that was last read from it."""

    def __init__(self, path: Path, algorithm: str) -> None:
        """Read the folder. Raises KeyFolderError."""
        self._path = path
        self._algorithm = algorithm
        with _failures_named(path):
            self._seen = _fingerprint(path)
            self._keys = _load(path, algorithm)

    @classmethod
    def open(cls, path: Path, algorithm: str, now: float) -> "KeyFolder":
        """Read the folder; make it, and a first key of *algorithm*, where there is none."""
        with _failures_named(path):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _holds(path, algorithm):
                with _locked(path):
                    # Another process may have been faster.
                    if not _holds(path, algorithm):
                        _create(path, algorithm, now)
        return cls(path, algorithm)

    def current(self) -> KeySet:
        return self._keys

    def reload_if_changed(self) -> bool:
        """Read the folder again if a file in it changed; True when the keys are new ones.

        Raises KeyFolderError once for every change for the worse, and keeps the last good set.
        """
        with _failures_named(self._path):
            seen = _fingerprint(self._path)
            if seen == self._seen:
                return False
            self._seen = seen
            self._keys = _load(self._path, self._algorithm)
            return True

    def rotate(self, now: float) -> SigningKey:
        """Add a key, which signs once every gateway has had time to learn of it."""
        with _failures_named(self._path), _locked(self._path):
            kid = _create(self._path, self._algorithm, now)
        self.reload_if_changed()
        return next(key for key in self._keys.keys if key.kid == kid)

    def prune(self, now: float, keep: float) -> tuple[SigningKey, ...]:
        """Remove the keys that signed nothing for *keep* seconds, and return them."""
        retired = self._keys.retired(now, keep)
        self._remove(retired)
        return retired

    def discard_all_but(self, kid: str) -> tuple[SigningKey, ...]:
        """Remove every other key at once: for a key that leaked. Signs everybody out."""
        others = tuple(key for key in self._keys.keys if key.kid != kid)
        self._remove(others)
        return others

    def exposed(self) -> tuple[Path, ...]:
        """Return the key files that more than their owner may read."""
        with _failures_named(self._path):
            return tuple(
                file for file in _files(self._path) if file.stat().st_mode & _READABLE_BY_OTHERS
            )

    def _remove(self, keys: tuple[SigningKey, ...]) -> None:
        with _failures_named(self._path), _locked(self._path):
            for key in keys:
                (self._path / f"{key.kid}.pem").unlink(missing_ok=True)
        self.reload_if_changed()


def generate(algorithm: str) -> AsymmetricKey:
    match algorithm:
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
        case "RS256":
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)
        case _:
            raise KeyFolderError(f"no key files are made for {algorithm}; HS256 takes secrets")


def _files(path: Path) -> list[Path]:
    return sorted(
        file for file in path.iterdir() if file.suffix == ".pem" and not file.name.startswith(".")
    )


def _fingerprint(path: Path) -> Fingerprint:
    stats = ((file.name, file.stat()) for file in _files(path))
    return tuple((name, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in stats)


def _load(path: Path, algorithm: str) -> KeySet:
    keys = tuple(_read(file) for file in _files(path))
    if not keys:
        raise KeyFolderError(f"{path}: no key in this folder")
    return KeySet(keys, algorithm)


def _holds(path: Path, algorithm: str) -> bool:
    return any(_read(file).algorithm == algorithm for file in _files(path))


def _read(file: Path) -> SigningKey:
    if not _KID.fullmatch(file.stem):
        raise KeyFolderError(f"{file}: a key's name is 1 to 32 letters, digits, - and _")
    text = file.read_bytes()
    try:
        private = fit(load_pem_private_key(text, password=None))
    except UnfitKey as error:
        raise KeyFolderError(f"{file}: {error}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The cause is left out: it may quote the file.
        raise KeyFolderError(f"{file}: no private key in PEM form without a password") from None
    created = _created(file, text)
    return SigningKey(file.stem, algorithm_of(private), private, private.public_key(), created)


def _created(file: Path, text: bytes) -> float:
    if found := _CREATED.match(text):
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(found[1].decode()).timestamp()
    return file.stat().st_mtime


def _create(path: Path, algorithm: str, now: float) -> str:
    """Write a new key so that no reader ever sees a part of it. The folder must be locked."""
    for left_over in path.glob(".*.new"):
        left_over.unlink()
    private = generate(algorithm)
    kid = _thumbprint(private)
    created = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    unfinished = path / f".{kid}.new"
    file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "wb") as stream:
        # Root may run the command; whoever owns the folder must be able to read the key.
        with contextlib.suppress(PermissionError):
            owner = path.stat()
            os.fchown(stream.fileno(), owner.st_uid, owner.st_gid)
        stream.write(f"Created: {created}\n".encode() + pem)
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.replace(path / f"{kid}.pem")
    return kid


def _thumbprint(private: AsymmetricKey) -> str:
    """Name a key after its public half (RFC 7638), in characters that any file system keeps."""
    jwk = public_jwk(VerifyingKey("", algorithm_of(private), private.public_key())) or {}
    members = {name: jwk[name] for name in sorted(jwk) if name not in {"use", "alg", "kid"}}
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other processes from changing the folder meanwhile, and make the change durable."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def _failures_named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = error.filename or path
        raise KeyFolderError(f"{place}: {error.strerror or error}") from error
