"""A client that is a browser where the test wants one: it keeps cookies and sends what it is told.

Standard library only, one connection per request, every header as the test spells it.
"""

import base64
import contextlib
import http.client
import json as json_module
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

Headers = Iterable[tuple[str, str]]

ACCESS, REFRESH = "accessToken", "refreshToken"
PREFIX = "/api/v1/auth"
PASSWORD = "correct horse battery staple"

NAVIGATE = (
    ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Dest", "document"),
)
FETCH = (("Accept", "*/*"), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Site", "same-origin"))


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        values = self.all(name)
        return ", ".join(values) if values else None

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each.lower() == name.lower()]

    def json(self) -> Any:
        return json_module.loads(self.body)

    @property
    def set_cookies(self) -> dict[str, "SetCookie"]:
        parsed = [SetCookie.parse(value) for value in self.all("Set-Cookie")]
        assert len({each.name for each in parsed}) == len(parsed), "a cookie is set twice"
        return {each.name: each for each in parsed}

    def is_problem(self, status: int) -> bool:
        """Whether this is an RFC 9457 answer of that status."""
        return (
            self.status == status
            and self.header("Content-Type") == "application/problem+json"
            and self.json()["status"] == status
        )


@dataclass(frozen=True)
class SetCookie:
    """A Set-Cookie line. Names of attributes in lower case, flags with an empty value."""

    name: str
    value: str
    attributes: dict[str, str]

    @classmethod
    def parse(cls, line: str) -> "SetCookie":
        first, *rest = (part.strip() for part in line.split(";"))
        name, _, value = first.partition("=")
        attributes = {}
        for part in rest:
            key, _, content = part.partition("=")
            assert key.lower() not in attributes, f"{key} is given twice"
            attributes[key.lower()] = content
        return cls(name, value, attributes)

    @property
    def clears(self) -> bool:
        return self.attributes.get("max-age") == "0" and self.value == ""


@dataclass
class Client:
    """Keeps cookies by name and path; `jar` may be changed by the test."""

    port: int
    host: str = ""
    jar: dict[str, SetCookie] = field(default_factory=dict)
    unix: str = ""
    tls: ssl.SSLContext | None = None

    def request(
        self,
        method: str,
        path: str,
        headers: Headers = (),
        *,
        body: bytes | None = None,
        json: object = None,
        form: dict[str, str] | None = None,
    ) -> Answer:
        """Send a request with the cookies of the jar, and keep those of the answer."""
        if json is not None:
            body, headers = json_module.dumps(json).encode(), (*headers, _JSON)
        if form is not None:
            body, headers = urlencode(form).encode(), (*headers, _FORM)
        with contextlib.closing(self._connection()) as connection:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in (*self.usual(path), *headers):
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            answer = Answer(response.status, tuple(response.getheaders()), response.read())
        self.keep(answer)
        return answer

    def get(self, path: str, headers: Headers = FETCH) -> Answer:
        return self.request("GET", path, headers)

    def navigate(self, path: str) -> Answer:
        """Follow a link, as a browser does; the answer may send us on."""
        return self.request("GET", path, NAVIGATE)

    def post(self, path: str, headers: Headers = FETCH, **content: Any) -> Answer:
        return self.request("POST", path, headers, **content)

    def auth(self, method: str, path: str, **content: Any) -> Answer:
        """Call one of the gateway's own endpoints."""
        return self.request(method, PREFIX + path, FETCH, **content)

    def sign_in(self, username: str = "alice", password: str = PASSWORD) -> Answer:
        return self.auth("POST", "/login", json={"username": username, "password": password})

    def signed_in(self, username: str = "alice") -> "Client":
        answer = self.sign_in(username)
        assert answer.status == 200, answer.body
        return self

    def refresh(self) -> Answer:
        return self.auth("POST", "/refresh-token")

    def cookie_header(self, path: str) -> str:
        sent = [each for each in self.jar.values() if _reaches(each, path)]
        return "; ".join(f"{each.name}={each.value}" for each in sent)

    def usual(self, path: str) -> Headers:
        """Host, and Cookie when there is one."""
        cookie = self.cookie_header(path)
        host = self.host or f"127.0.0.1:{self.port}"
        return (("Host", host), *([("Cookie", cookie)] if cookie else []))

    def keep(self, answer: Answer) -> None:
        for name, cookie in answer.set_cookies.items():
            if cookie.clears:
                self.jar.pop(name, None)
            else:
                self.jar[name] = cookie

    def forget(self, name: str) -> None:
        """Lose a cookie, as a browser does when its Max-Age has passed."""
        del self.jar[name]

    def copy(self) -> "Client":
        return replace(self, jar=dict(self.jar))

    @property
    def access(self) -> str:
        return self._value(ACCESS)

    @property
    def refresh_token(self) -> str:
        return self._value(REFRESH)

    def _value(self, plain: str) -> str:
        return next(each.value for name, each in self.jar.items() if name.endswith(plain))

    def _connection(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        if self.unix:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(15)
            connection.sock.connect(self.unix)
        if self.tls is not None:
            plain = socket.create_connection(("127.0.0.1", self.port), 15)
            connection.sock = self.tls.wrap_socket(plain, server_hostname=self.host)
        return connection

    @contextlib.contextmanager
    def websocket(self, path: str, headers: Headers = ()) -> Iterator["WebSocket"]:
        """Open a WebSocket as a page of this origin would."""
        host = dict(self.usual(path))["Host"]
        lines = [
            f"GET {path} HTTP/1.1",
            *(f"{name}: {value}" for name, value in self.usual(path)),
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}",
        ]
        given = dict(headers)
        lines += [
            f"{name}: {value}" for name, value in ({"Origin": f"http://{host}"} | given).items()
        ]
        with socket.create_connection(("127.0.0.1", self.port), 15) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
            with contextlib.closing(WebSocket(connection)) as opened:
                self.keep(opened.answer)
                yield opened


_JSON = ("Content-Type", "application/json")
_FORM = ("Content-Type", "application/x-www-form-urlencoded")


def _reaches(cookie: SetCookie, path: str) -> bool:
    """RFC 6265 §5.1.4."""
    own = cookie.attributes.get("path", "/")
    return path == own or path.startswith(own if own.endswith("/") else f"{own}/")


class WebSocket:
    """The smallest client that RFC 6455 allows: short unfragmented text frames."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rb")
        self._connection = connection
        status = int(self._file.readline().split()[1])
        headers = []
        while line := self._file.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            headers.append((name, value.strip()))
        length = 0 if status == 101 else int(dict(headers)["Content-Length"])
        self.answer = Answer(status, tuple(headers), self._file.read(length))

    def close(self) -> None:
        self._file.close()

    def say(self, text: str) -> None:
        payload = text.encode()
        assert len(payload) < 126
        self._connection.sendall(bytes([0x81, 0x80 | len(payload)]) + bytes(4) + payload)

    def hear(self) -> str | None:
        """Return the next text; None once the other side has closed or broken the connection."""
        try:
            head = self._file.read(2)
        except ConnectionResetError:
            return None
        if len(head) < 2 or head[0] & 0x0F == 8:
            return None
        return self._file.read(head[1] & 0x7F).decode()


def claims(token: str) -> dict[str, Any]:
    """What a JWT says, unverified."""
    payload = token.split(".")[1]
    found: dict[str, Any] = json_module.loads(base64.urlsafe_b64decode(payload + "=" * 3))
    return found


def seconds_left(token: str) -> float:
    return float(claims(token)["exp"]) - time.time()


def exchange(port: int, raw: bytes, *, half_close: bool = False) -> bytes:
    """Send raw bytes on a connection of their own; return all that comes until it is closed."""
    with socket.create_connection(("127.0.0.1", port), 15) as connection:
        connection.sendall(raw)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        received = bytearray()
        with contextlib.suppress(ConnectionResetError):
            while data := connection.recv(65536):
                received += data
        return bytes(received)
