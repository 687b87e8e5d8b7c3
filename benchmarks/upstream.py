"""The app behind every system: one nginx worker that answers from memory and keeps connections."""

import os
from pathlib import Path

from benchmarks import certificate
from benchmarks.processes import LOAD_CORE, Command, Process, wait_until_listening
from benchmarks.programs import find

SMALL = "x" * 200
LARGE_PATH = "/large"
LARGE_BYTES = 10_000_000
ECHO_PATH = "/echo"
DOCUMENTS_PATH = "/documents/"

_CONFIG = """
worker_processes 1;
{user}daemon off;
pid {folder}/upstream.pid;
error_log {folder}/upstream-error.log warn;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_max_body_size 0;
  client_body_temp_path {folder}/upstream-body;
  sendfile on;
  tcp_nopush on;
  default_type application/json;
  upstream itself {{ server 127.0.0.1:{port}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    listen 127.0.0.1:{tls_port} ssl;
    ssl_certificate {folder}/certificate.pem;
    ssl_certificate_key {folder}/certificate-key.pem;
    location / {{ return 200 '{small}'; }}
    # Says who the app was told is asking, so that a system's answer proves what it did.
    location = {echo} {{ return 200 '$http_x_forwarded_user'; }}
    # Reads a body to its end before it answers, which `return` does not, and keeps it in memory.
    location {documents} {{
      client_body_buffer_size 256k;
      proxy_pass http://itself/;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header Connection "";
      proxy_http_version 1.1;
    }}
    location = {large} {{ alias {folder}/large; }}
    location /issuer/ {{ root {folder}; }}
  }}
}}
"""


def start(folder: Path, port: int, tls_port: int) -> Process:
    """Serve on *port*; the issuer's documents by https on *tls_port* too."""
    with (folder / "large").open("wb") as large:
        large.truncate(LARGE_BYTES)
    certificate.write(folder)
    config = folder / "upstream.conf"
    config.write_text(
        _CONFIG.format(
            folder=folder,
            user="user root;\n" if os.geteuid() == 0 else "",
            port=port,
            tls_port=tls_port,
            small=SMALL,
            echo=ECHO_PATH,
            large=LARGE_PATH,
            documents=DOCUMENTS_PATH,
        )
    )
    argv = [str(find("nginx")), "-c", str(config), "-p", str(folder)]
    process = Process(Command(argv, {}, folder), LOAD_CORE, folder / "upstream.log")
    wait_until_listening(process, port)
    return process
