"""Something between a browser and a gateway that loses one of its cookies."""

import contextlib
import http.client
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class LosingProxy:
    """Passes everything on but Set-Cookie lines of *lost*. `targets` is what was asked for."""

    target: int
    lost: str
    port: int = 0
    targets: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def running(self) -> Iterator["LosingProxy"]:
        proxy = self

        class Pass(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                proxy.pass_on(self)

            def do_POST(self) -> None:
                proxy.pass_on(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Pass)
        self.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def pass_on(self, asked: BaseHTTPRequestHandler) -> None:
        self.targets.append(asked.path)
        body = asked.rfile.read(int(asked.headers.get("Content-Length", 0)))
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.target)) as upstream:
            upstream.request(asked.command, asked.path, body, dict(asked.headers.items()))
            answer = upstream.getresponse()
            content = answer.read()
        asked.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name != "Set-Cookie" or not value.startswith(f"{self.lost}="):
                asked.send_header(name, value)
        asked.end_headers()
        asked.wfile.write(content)
