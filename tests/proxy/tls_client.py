"""Clients that do with TLS what libraries do not let one do: close a half, and forge records."""

import socket
import ssl
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
ALERT, HANDSHAKE, DATA = 21, 22, 23
# RFC 8446 §4.6.3: a message of one byte, by which its sender wants the same in return.
KEY_UPDATE = b"\x18\0\0\1\1"
CLOSE_NOTIFY = b"\1\0"


class TlsSocket:
    """A blocking TLS connection whose halves close one at a time. *fin*: TCP's half as well."""

    def __init__(self, port: int, context: ssl.SSLContext, *, fin: bool = False) -> None:
        self.plain = socket.create_connection(("127.0.0.1", port), 10)
        self._fin = fin
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self._until_done(self.tls.do_handshake)
        self._flush()

    def sendall(self, data: bytes) -> None:
        self.tls.write(data)
        self._flush()

    def send_ciphertext(self, data: bytes) -> None:
        self.plain.sendall(data)

    def recv(self, size: int) -> bytes:
        """Return b"" after close_notify; raises SSLEOFError where the end was not announced."""
        try:
            return self._until_done(lambda: self.tls.read(size))
        except ssl.SSLZeroReturnError:
            return b""

    def rest(self) -> bytes:
        received = bytearray()
        while data := self.recv(65536):
            received += data
        return bytes(received)

    def end(self) -> None:
        """Say that no more is sent, and go on reading."""
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self._flush()
        if self._fin:
            self.plain.shutdown(socket.SHUT_WR)

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR
        self.end()

    def close(self) -> None:
        self.plain.close()

    def _until_done(self, step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self._flush()
                data = self.plain.recv(65536)
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self.plain.sendall(self._outgoing.read())


class Forger:
    """Writes records of TLS 1.3 for a client, whatever they may hold (RFC 8446 §5.2, §7)."""

    def __init__(self, key_log: Path) -> None:
        """*key_log* is what the client's context wrote; the last handshake there is the one."""
        lines = (line.split() for line in key_log.read_text().splitlines())
        *_, found = (line[2] for line in lines if line[0] == "CLIENT_TRAFFIC_SECRET_0")
        self._use(bytes.fromhex(found))

    def record(self, content: bytes, kind: int = DATA) -> bytes:
        inner = content + bytes((kind,))
        header = b"\x17\3\3" + (len(inner) + 16).to_bytes(2)
        nonce = (int.from_bytes(self._iv) ^ self._number).to_bytes(12)
        self._number += 1
        return header + self._cipher.encrypt(nonce, inner, header)

    def key_update(self) -> bytes:
        """Return a whole KeyUpdate, and write with the next keys from here on."""
        record = self.record(KEY_UPDATE, HANDSHAKE)
        self._use(_expand(self._secret, b"traffic upd", 48))
        return record

    def _use(self, secret: bytes) -> None:
        self._secret, self._number = secret, 0
        self._cipher, self._iv = AESGCM(_expand(secret, b"key", 32)), _expand(secret, b"iv", 12)


def _expand(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label, for TLS_AES_256_GCM_SHA384."""
    full = b"tls13 " + label
    info = length.to_bytes(2) + bytes((len(full),)) + full + b"\0"
    return HKDFExpand(SHA384(), length, info).derive(secret)
