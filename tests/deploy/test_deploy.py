"""What `deploy/` gives people to start from is a configuration that the gateway takes."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import load
from gateway.config.values import Config, TcpAddress

_ROOT = Path(__file__).resolve().parents[2]
_DOCKERFILE = (_ROOT / "Dockerfile").read_text()
_IMAGE = {
    name: value
    for line in _DOCKERFILE.splitlines()
    for name, _, value in [line.strip().removesuffix(" \\").partition("=")]
    if name.startswith("GATEWAY_")
}


def _config(text: str, folder: Path, environ: dict[str, str]) -> Config:
    path = folder / "config.yaml"
    path.write_text(text)
    (folder / "users.yaml").write_text("users: {}\n")
    return load(path, {**_IMAGE, **environ})


def test_the_image_listens_beyond_its_loopback(tmp_path: Path) -> None:
    assert _IMAGE["GATEWAY_CONFIG"] == "/etc/gateway/config.yaml"
    config = _config((_ROOT / "deploy/gateway.yaml").read_text(), tmp_path, {})
    assert config.listen == TcpAddress("0.0.0.0", 8080)


def test_what_the_gateway_makes_is_in_the_volume_of_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative to the image's working directory, /, the defaults are below /data."""
    monkeypatch.chdir("/")
    config = _config((_ROOT / "deploy/gateway.yaml").read_text(), tmp_path, {})
    assert config.tokens.key_folder == "/data/keys"
    assert config.sessions.store.reveal() == "sqlite:///data/gateway.db"


def test_what_the_image_compiles_is_what_a_start_loads() -> None:
    """The standard library comes without compiled modules, and the root is read-only later."""
    code = re.search(r'^RUN /opt/gateway/bin/python -c "(.*)"$', _DOCKERFILE, re.MULTILINE)
    assert code is not None
    asked = f"{code[1]}; import sys; print(*sys.modules)"

    ran = subprocess.run(
        [sys.executable, "-c", asked], cwd=_ROOT, capture_output=True, text=True, check=True
    )

    loaded = set(ran.stdout.split())
    assert loaded >= {"asyncio", "aiohttp.web", "sqlite3", "redis.asyncio", "gateway.app.gateway"}


def test_compose_runs_a_valid_configuration_without_warnings(tmp_path: Path) -> None:
    compose: dict[str, Any] = yaml.safe_load((_ROOT / "deploy/compose.yaml").read_text())
    environ = compose["services"]["gateway"]["environment"]
    config = _config((_ROOT / "deploy/gateway.yaml").read_text(), tmp_path, environ)
    assert config.warnings == ()


def test_the_sidecar_runs_a_valid_configuration_without_warnings(tmp_path: Path) -> None:
    documents = yaml.safe_load_all((_ROOT / "deploy/kubernetes/sidecar.yaml").read_text())
    text = next(one["data"]["config.yaml"] for one in documents if one["kind"] == "ConfigMap")
    assert _config(text, tmp_path, {}).warnings == ()
