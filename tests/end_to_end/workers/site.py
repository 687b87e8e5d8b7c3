"""A gateway of several workers, what it tells of itself, and connections to each of them."""

import http.client
import re
from pathlib import Path

from tests.end_to_end.client import FETCH, Client
from tests.end_to_end.conftest import StartGateway, smallest
from tests.end_to_end.echo_app import EchoApp
from tests.end_to_end.running import Running, free_port, until, write_config

OPEN = [{"path": "/*", "upstream": "app", "access": "public"}]


class Site:
    """A gateway with two workers, its configuration and its operations port."""

    def __init__(self, start_gateway: StartGateway, app: EchoApp, folder: Path) -> None:
        self._start = start_gateway
        self.app = app
        self.folder = folder
        self.operations = Client(free_port())
        self.connections: list[Kept] = []
        self.config = smallest(
            app,
            workers=2,
            operations=f"127.0.0.1:{self.operations.port}",
            log={"access": False},
            limits={"drain": "20s"},
        )

    def close(self) -> None:
        for kept in self.connections:
            kept.connection.close()

    def start(self, **sections: object) -> Running:
        self.gateway = self._start({**self.config, **sections})
        until(lambda: len(self.workers()) == self.config["workers"], "every worker listens")
        return self.gateway

    def write(self, **sections: object) -> None:
        """Exchange the configuration file for one with *sections* laid over what there was."""
        self.config |= sections
        new = self.folder / "new"
        new.mkdir(exist_ok=True)
        write_config(new, self.config).replace(self.folder / "config.yaml")

    def workers(self) -> list[int]:
        """Return the processes that said that they listen and still live, the eldest first.

        Each writes its log by itself, so that the order of lines says nothing.
        """
        said = re.findall(r"listening on .*\(process (\d+)\)", self.gateway.log)
        return sorted(int(pid) for pid in said if alive(int(pid)))

    def client(self) -> Client:
        return Client(self.gateway.port)

    def kept(self, client: Client | None = None) -> "Kept":
        self.connections.append(Kept(client or self.client()))
        return self.connections[-1]

    def reloads(self, kind: str) -> int:
        return len(self.gateway.events(f"config.{kind}"))

    def who_forwarded(self) -> set[str]:
        """Return the workers whose counters say that they have forwarded something."""
        text = self.operations.get("/metrics").body.decode()
        assert text.count("# TYPE gateway_requests_total counter") == 1
        counted = re.findall(
            r'gateway_requests_total\{.*decision="forward".*worker="(\d)"\} (\d+)', text
        )
        return {worker for worker, count in counted if float(count) > 0}

    def connections_of(self, worker: int) -> int:
        """Return how many clients are connected to the worker of this number."""
        text = self.operations.get("/metrics").body.decode()
        found = re.search(rf'gateway_connections\{{.*worker="{worker}"\}} (\d+)', text)
        assert found, text
        return int(found[1])

    def told_of_workers(self) -> dict[str, object]:
        return self.operations.get("/readyz").json()["components"]["workers"]

    def last_reloads(self) -> dict[str, float]:
        """Return the metric of the last reload, by worker."""
        text = self.operations.get("/metrics").body.decode()
        found = re.findall(r'gateway_config_last_reload_success\{worker="(\d)"\} (\S+)', text)
        return {worker: float(value) for worker, value in found}


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


class Kept:
    """A connection that is kept, and so belongs to one worker."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=15)

    def get(self, path: str) -> int:
        self.connection.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
        for name, value in (*self.client.usual(path), *FETCH):
            self.connection.putheader(name, value)
        self.connection.endheaders()
        with self.connection.getresponse() as answer:
            answer.read()
            return answer.status

    def worker(self, app: EchoApp) -> str:
        """Return who serves this connection: each process has a name of its own in Via."""
        assert self.get("/who") == 200
        return app.last("/who").header("Via") or ""


def one_to_each_worker(site: Site, client: Client) -> list[Kept]:
    found: dict[str, Kept] = {}

    def tried() -> bool:
        kept = site.kept(client)
        found.setdefault(kept.worker(site.app), kept)
        return len(found) == 2

    until(tried, "both workers get connections")
    return list(found.values())
