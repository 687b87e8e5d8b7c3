"""Servers that others wrote, each telling what it made of a request: the ground truth of tests."""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.client import exchange
from tests.end_to_end.running import REPOSITORY, environment, free_port, until

HERE = Path(__file__).parent
_NGINX = """
daemon off;
user root;
worker_processes 1;
error_log stderr crit;
pid {folder}/nginx.pid;
events {{ worker_connections 64; }}
http {{
    access_log off;
    default_type text/plain;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    # Files, as nginx usually serves them: each holds its own path.
    server {{
        listen 127.0.0.1:{files};
        location /public/ {{ alias {folder}/files/public/; }}
        location /admin/ {{ alias {folder}/files/admin/; }}
        location / {{ root {folder}/files; }}
    }}
    server {{
        listen 127.0.0.1:{merging};
        location = /headers {{ return 200 '{{"x-forwarded-user": "$http_x_forwarded_user"}}'; }}
        location / {{ return 200 "$uri"; }}
    }}
    server {{
        listen 127.0.0.1:{plain};
        merge_slashes off;
        location / {{ return 200 "$uri"; }}
    }}
}}
"""


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[dict[str, int]]:
    """Serve files, and the path as nginx understood it, with slashes merged and not."""
    program = _program("nginx", "/usr/sbin/nginx")
    for path in ("public/x", "admin/x", "x", "admin/secret"):
        file = folder / "files" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"/{path}")
    ports = {"nginx-files": free_port(), "nginx": free_port(), "nginx-unmerged": free_port()}
    files, merging, plain = ports.values()
    (folder / "nginx.conf").write_text(
        _NGINX.format(folder=folder, files=files, merging=merging, plain=plain)
    )
    with _running([program, "-p", folder, "-c", folder / "nginx.conf"], *ports.values()):
        yield ports


@contextlib.contextmanager
def node() -> Iterator[dict[str, int]]:
    """Resolve targets in the ways that Node programs have."""
    program = _program("node", "/usr/bin/node")
    with subprocess.Popen([program, HERE / "app.js"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()


@contextlib.contextmanager
def django() -> Iterator[dict[str, int]]:
    """Serve one Django site by gunicorn, by gunicorn at its laxest, and by waitress."""
    application = f"{__name__}.django_app:application"
    gunicorn = [sys.executable, "-m", "gunicorn", "--threads", "4", "--log-level", "error"]
    ports = {"gunicorn": free_port(), "gunicorn-lax": free_port(), "waitress": free_port()}
    strict, lax, waitress = ports.values()
    with (
        _running([*gunicorn, "-b", f"127.0.0.1:{strict}", application], strict),
        _running(
            [*gunicorn, "--header-map", "dangerous", "-b", f"127.0.0.1:{lax}", application], lax
        ),
        _running(
            [sys.executable, "-m", "waitress", f"--listen=127.0.0.1:{waitress}", application],
            waitress,
        ),
    ):
        yield ports


@contextlib.contextmanager
def _running(command: list[str | Path], *ports: int) -> Iterator[None]:
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=environment(), stdin=subprocess.DEVNULL
    ) as process:
        try:
            for port in ports:
                until(lambda port=port: _answers(process, port), f"{command[0]} answers", 30)
            yield
        finally:
            process.terminate()


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    assert process.poll() is None, "it ended"
    try:
        raw = b"GET /public/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        return exchange(port, raw).startswith(b"HTTP/1.1 200 ")
    except ConnectionRefusedError:
        return False


def _program(name: str, usual: str) -> str:
    found = shutil.which(name) or shutil.which(usual)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found
