"""Load by wrk, pinned beside the upstream; its own Lua script tells the figures as JSON."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import LOAD_CORE

_SCRIPT = """
wrk.method = {method}
{body}
{headers}
{pages}
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\n{{"requests": %d, "seconds": %.6f, "bytes": %d, "p50": %.1f, "p99": %.1f, ' ..
    '"refused": %d, "broken": %d}}\\n',
    summary.requests, summary.duration / 1e6, summary.bytes,
    latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""


# Without a `request` function wrk renders the request once: the script costs nothing per request.
# With one, no two requests in a row have the same headers, as when a browser has many pages open.
_PAGES = """
local pages, turn = {{}}, 0
function init(args)
  for page = 1, {count} do
    wrk.headers["Referer"] = wrk.headers["Referer"] .. page
    pages[page] = wrk.format()
  end
end
function request()
  turn = turn % {count} + 1
  return pages[turn]
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    requests: int
    seconds: float
    bytes: int
    p50_us: float
    p99_us: float
    refused: int
    broken: int


@dataclass(frozen=True, slots=True)
class Script:
    """What every connection sends, again and again."""

    url: str
    headers: Mapping[str, str]
    method: str = "GET"
    body_bytes: int = 0
    pages: int = 1


def run(script: Script, folder: Path, seconds: float, connections: int) -> Load:
    lua = folder / "request.lua"
    lua.write_text(_lua(script))
    argv = ["taskset", "-c", str(LOAD_CORE), "wrk", "--threads", "1"]
    argv += ["--connections", str(connections), "--duration", f"{max(1, round(seconds))}s"]
    argv += ["--timeout", "10s", "--latency", "--script", str(lua), script.url]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=seconds + 60)
    told = json.loads(done.stdout.strip().splitlines()[-1])
    return Load(
        requests=told["requests"],
        seconds=told["seconds"],
        bytes=told["bytes"],
        p50_us=told["p50"],
        p99_us=told["p99"],
        refused=told["refused"],
        broken=told["broken"],
    )


def _lua(script: Script) -> str:
    headers = "\n".join(
        f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}"
        for name, value in script.headers.items()
    )
    body = f'wrk.body = string.rep("x", {script.body_bytes})' if script.body_bytes else ""
    pages = _PAGES.format(count=script.pages) if script.pages > 1 else ""
    return _SCRIPT.format(method=json.dumps(script.method), body=body, headers=headers, pages=pages)
