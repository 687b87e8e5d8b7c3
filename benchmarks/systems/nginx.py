"""nginx as a plain proxy, one worker: what proxying alone costs, and the measure of throughput.

Once with its own defaults, as most sites run it, and once with the buffers that large bodies want.
"""

from dataclasses import replace
from functools import partial

from benchmarks.issuer import Algorithm
from benchmarks.processes import Command
from benchmarks.programs import find
from benchmarks.systems.system import Site, System, issued

_CONFIG = """
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_max_body_size 0;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  map $http_upgrade $upstream_connection {{ default upgrade; '' ''; }}
  upstream app {{ server {upstream}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen {address}{ssl} backlog=4096;
    {certificate}
    location / {{
      proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_read_timeout 600s;
      {buffers}
      proxy_set_header Connection $upstream_connection;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
}}
"""


# Without a temporary file an answer waits in the upstream when the client is slow, as with us.
_LARGE_BUFFERS = (
    "client_body_buffer_size 64k; proxy_max_temp_file_size 0;"
    " proxy_buffer_size 64k; proxy_buffers 4 64k; proxy_busy_buffers_size 128k;"
)


def _command(buffers: str, site: Site) -> Command:
    config = site.folder / "nginx.conf"
    config.write_text(
        _CONFIG.format(
            folder=site.folder,
            upstream=site.upstream,
            address=site.address,
            ssl=" ssl" if site.certificate else "",
            buffers=buffers,
            certificate=_certificate(site),
        )
    )
    argv = [str(find("nginx")), "-c", str(config), "-p", str(site.folder)]
    return Command(argv, {}, site.folder)


def _certificate(site: Site) -> str:
    if site.certificate is None:
        return ""
    return (
        f"ssl_certificate {site.certificate}; ssl_certificate_key {site.key};"
        " ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:10m;"
    )


NGINX = System(
    name="nginx",
    does="plain proxy",
    install="apt-get install nginx",
    command=partial(_command, ""),
    tokens=partial(issued, Algorithm.ES256),
    checks_token=False,
    speaks_tls=True,
)
NGINX_LARGE = replace(
    NGINX,
    name="nginx-64k",
    does="plain proxy, buffers of 64 KiB",
    command=partial(_command, _LARGE_BUFFERS),
)
