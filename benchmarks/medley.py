"""A medley of requests for wrk: good, anonymous, forged, unrouted and malformed ones.

Addresses, queries, header blocks, made-up header names and tokens change from each to the next, so
that every table in the gateway fills and overflows. Two in a hundred end their connection, and two
show a token that has not been seen for a million requests.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import LOAD_CORE

TOKENS_FILE = "tokens.txt"
_CONNECTIONS = 64
_GUESSED_PER_SECOND = 10_000
_LONGEST_SECONDS = 60
# Of a hundred: one malformed, one without a route, three with a forged token, one anonymous.
_REFUSED = 0.06
_ENOUGH_TO_JUDGE = 5_000

_SCRIPT = """
local tokens, n = {}, %(begin)d
for line in io.lines("%(tokens)s") do tokens[#tokens + 1] = line end

local function get(path, cookie, more)
  return "GET " .. path .. " HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nUser-Agent: Mozilla/5.0 (X11; "
    .. n %% 7001 .. ")\\r\\nAccept: */*\\r\\nReferer: http://127.0.0.1/items/" .. n %% 3001
    .. "\\r\\nX-Made-Up-" .. n %% 30011 .. ": " .. n .. "\\r\\nCookie: theme=dark; accessToken="
    .. cookie .. more .. "\\r\\n\\r\\n"
end

function request()
  n = n + 1
  local kind, usual = n %% 100, tokens[math.floor(n / 500) %% #tokens + 1]
  local path = "/items/" .. n %% 50021 .. "?page=" .. n
  if kind == 0 then return "GET / HTTP/1.1\\r\\nHost: a\\r\\nHost: b" .. n .. "\\r\\n\\r\\n" end
  if kind == 1 then return get("/nowhere/" .. n, usual, "") end
  if kind < 5 then return get(path, usual .. "x" .. n, "") end
  if kind == 5 then return get(path, "", "; session=" .. n) end
  if kind == 6 then return get(path, usual, "\\r\\nConnection: close") end
  if kind == 7 then return get("/public/" .. n, "forged" .. n, "") end
  local unusual = tokens[(math.floor(n / 100) * 2 + kind) %% #tokens + 1]
  if kind < 10 then return get(path, unusual, "") end
  if kind < 50 then return get(path, usual, "") end
  -- A browser with one page open, whose header block comes again.
  return "GET " .. path .. " HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nUser-Agent: Mozilla/5.0"
    .. "\\r\\nCookie: accessToken=" .. usual .. "\\r\\n\\r\\n"
end

done = function(summary, latency, requests)
  io.write(string.format('\\n{"requests": %%d, "refused": %%d, "seconds": %%.3f}\\n',
    summary.requests, summary.errors.status, summary.duration / 1e6))
end
"""


@dataclass(frozen=True, slots=True)
class Done:
    requests: int
    refused: int


class Spoiled(Exception):
    """Too many or too few requests were refused: not what was to be measured."""


def run(folder: Path, port: int, begin: int, wanted: int) -> Done:
    """Send about *wanted* requests, at most a minute long; *begin* went before."""
    seconds = min(max(1, wanted // _GUESSED_PER_SECOND), _LONGEST_SECONDS)
    script = folder / "medley.lua"
    script.write_text(_SCRIPT % {"begin": begin, "tokens": folder / TOKENS_FILE})
    argv = ["taskset", "-c", str(LOAD_CORE), "wrk", "--threads", "1", "--timeout", "10s"]
    argv += ["--connections", str(_CONNECTIONS), "--duration", f"{seconds}s"]
    argv += ["--script", str(script), f"http://127.0.0.1:{port}/"]
    ended = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=seconds + 60)
    told = json.loads(ended.stdout.strip().splitlines()[-1])
    astray = abs(told["refused"] / max(told["requests"], 1) - _REFUSED)
    if told["requests"] > _ENOUGH_TO_JUDGE and astray > _REFUSED / 2:
        raise Spoiled(f"{told['refused']} of {told['requests']} requests were refused")
    return Done(told["requests"], told["refused"])
