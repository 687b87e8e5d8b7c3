"""Several gateways that share keys, users and a store, as behind a load balancer."""

import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.end_to_end.client import Client
from tests.end_to_end.running import Running, free_port, start


class Fleet:
    """`nodes` are running processes; each keeps its ports and its folder when it is restarted."""

    def __init__(self, folder: Path, config: Mapping[str, Any], size: int = 3) -> None:
        self.folder = folder
        self.configs = [self._config(config) for _ in range(size)]
        self.nodes: list[Running] = []
        self.buried: list[Running] = []

    @property
    def ports(self) -> list[int]:
        return [node.port for node in self.nodes]

    @contextmanager
    def running(self) -> Iterator["Fleet"]:
        with ExitStack() as stack:
            with ThreadPoolExecutor() as starting:  # all at once, as an orchestrator does
                self.nodes += starting.map(self._start, range(len(self.configs)))
            for index in range(len(self.nodes)):
                stack.callback(lambda index=index: self.nodes[index].stop())
            yield self

    def kill(self, index: int) -> None:
        """End a gateway without a chance to say anything, as `kill -9` does."""
        self.nodes[index].kill()

    def restart(self, index: int) -> Running:
        """Start again what was killed, on the same ports."""
        self.buried.append(self.nodes[index])
        self.nodes[index] = self._start(index)
        return self.nodes[index]

    def client(self, index: int = 0, jar: Client | None = None) -> Client:
        """Return a client of one node; with the cookies of *jar* if there is one."""
        return Client(self.nodes[index].port, jar=dict(jar.jar) if jar else {})

    def everywhere(self, client: Client) -> list[Client]:
        """Return copies of *client*, one for each node: a browser behind the load balancer."""
        return [self.client(index, client) for index in range(len(self.nodes))]

    def events(self, name: str, **fields: object) -> list[dict[str, Any]]:
        """Return what all nodes, those that were killed too, logged under *name*."""
        found = [each for node in (*self.buried, *self.nodes) for each in node.events(name)]
        return [each for each in found if all(each.get(k) == v for k, v in fields.items())]

    def operations(self, index: int, path: str, method: str = "GET") -> tuple[int, str]:
        """Ask a node's own port."""
        url = f"http://{self.configs[index]['operations']}{path}"
        request = urllib.request.Request(url, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str, labels: str = "") -> float:
        """Return a counter's sum over the nodes that run now."""
        sought = f"{name}{labels} "
        texts = [self.operations(index, "/metrics")[1] for index in range(len(self.nodes))]
        lines = [line for text in texts for line in text.splitlines() if line.startswith(sought)]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def _start(self, index: int) -> Running:
        folder = self.folder / f"gateway-{index}"
        folder.mkdir(exist_ok=True)
        return start(folder, self.configs[index])

    def _config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        tokens = {"keys": str(self.folder / "keys"), **config.get("tokens", {})}
        return {
            **config,
            "public_url": "http://gateway.test",  # one name for all: also the issuer of tokens
            "listen": f"127.0.0.1:{free_port()}",
            "operations": f"127.0.0.1:{free_port()}",
            "tokens": tokens,
        }
