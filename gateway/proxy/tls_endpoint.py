"""Our end of a TLS connection as a function of bytes: ciphertext in, plaintext out, and back.

Nothing waits in here but the beginning of a record: all that ciphertext holds comes out at once, so
that what a connection holds is what its transport holds.
"""

import ssl
from contextlib import suppress
from typing import Final, TypeAlias

RECORD: Final = 16384
# OpenSSL's buffers keep the size that they once had: with more than this at once, each connection
# would go on holding as much.
PIECE: Final = 2 * RECORD
# So many records in one piece are tiny ones, and more work than their bytes tell.
_MANY_RECORDS: Final = 64

Ciphertext: TypeAlias = bytes | memoryview


class TlsEndpoint:
    """*outgoing* is what is to be sent; whoever calls looks after it."""

    __slots__ = ("_incoming", "broken", "ended", "laborious", "outgoing", "tls")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self.outgoing, server_side=True)
        # The peer has said that it sends no more (close_notify, RFC 8446 §6.1).
        self.ended = False
        # What it sent was not what it should be: nothing is said or heard any more.
        self.broken = False
        self.laborious = False

    def shake_hands(self, ciphertext: Ciphertext) -> Ciphertext | None:
        """Go on with the handshake: None, or once it is done, what of *ciphertext* is behind it.

        Raises ssl.SSLError.
        """
        rest = memoryview(ciphertext)
        while rest:
            self._incoming.write(rest[:PIECE])
            rest = rest[PIECE:]
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                continue
            return rest
        return None

    def decrypt(self, ciphertext: Ciphertext) -> bytes:
        """Return all that can be read. What comes after the peer's last word is ignored."""
        if len(ciphertext) <= PIECE:
            parts = self._read(ciphertext)
        else:
            view, parts = memoryview(ciphertext), []
            for at in range(0, len(view), PIECE):
                parts += self._read(view[at : at + PIECE])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _read(self, ciphertext: Ciphertext) -> list[bytes]:
        parts: list[bytes] = []
        if self.ended or self.broken:
            return parts
        incoming, read = self._incoming, self.tls.read
        incoming.write(ciphertext)
        try:
            # What comes along with the last byte of a record is all of it: asking once more for
            # nothing would cost an exception.
            while data := read(RECORD):
                parts.append(data)
                if not incoming.pending:
                    break
            else:
                self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError:
            self.broken = True
        if len(parts) > _MANY_RECORDS:
            self.laborious = True
        return parts

    def encrypt(self, data: bytes | bytearray | memoryview) -> bytes:
        """Return the records of *data*, some bytes, and whatever else was to be sent.

        Raises ssl.SSLError where the peer is in the middle of saying what is no data: it would
        have to be heard to its end first, and nobody has a reason to say it in pieces.
        """
        write = self.tls.write
        done = write(data)
        # It may take less than all.
        while done < len(data):
            done += write(memoryview(data)[done:])
        return self.outgoing.read()

    def farewell(self) -> bytes:
        """Return the end of what we send (close_notify); the peer may still go on."""
        # The peer has not said so yet: `unwrap` would wait for that.
        with suppress(ssl.SSLError):
            self.tls.unwrap()
        return self.outgoing.read()
