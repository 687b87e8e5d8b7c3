"""A real PostgreSQL server for those tests that ask for one."""

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

_DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def _program(name: str) -> str | None:
    return shutil.which(name) or next((str(p / name) for p in _DEBIAN if (p / name).exists()), None)


def _someone_else() -> dict[str, object]:
    # PostgreSQL refuses to run as root.
    if os.getuid() != 0:
        return {}
    user = next((u for u in ("postgres", "nobody") if _exists(u)), "nobody")
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Return the URL of a server of our own, without a database name."""
    initdb, server = _program("initdb"), _program("postgres")
    if initdb is None or server is None:
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    someone = _someone_else()
    if "user" in someone:
        os.chown(folder, someone["user"], someone["group"])
    data = folder / "data"
    setup = [initdb, "-D", data, "-U", "gateway", "--auth=trust", "--no-sync", "-E", "UTF8"]
    subprocess.run(setup, check=True, capture_output=True, cwd=folder, **someone)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = [server, "-D", data, "-p", str(port), "-k", folder, "-h", "127.0.0.1", "-F"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(start, cwd=folder, stdout=log, stderr=log, **someone)
    try:
        _wait_until_it_answers(process, folder / "log")
        yield f"postgresql://gateway@127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder)


def _wait_until_it_answers(process: subprocess.Popen[bytes], log: Path) -> None:
    ready = "database system is ready to accept connections"
    while ready not in log.read_text(errors="replace"):
        assert process.poll() is None, log.read_text(errors="replace")
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """Return the URL of a new, empty database."""
    name = f"test_{uuid.uuid4().hex}"
    asyncio.run(_create(f"{postgres_server}/postgres", name))
    return f"{postgres_server}/{name}"


async def _create(server: str, name: str) -> None:
    connection = await asyncpg.connect(server)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
