"""What is made for other machines: the bundle without a network and the containers."""

import hashlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bundle() -> ModuleType:
    spec = spec_from_file_location("bundle", ROOT / "offline" / "bundle.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_bundle_has_what_is_needed_and_no_more(bundle: ModuleType) -> None:
    bare, served = bundle.needed("medicalgpt", []), bundle.needed("medicalgpt", ["serve"])
    assert {"medicalgpt", "torch", "transformers", "tokenizers", "jinja2", "markupsafe"} <= bare
    assert {"fastapi", "gradio", "starlette"} <= served - bare
    assert not {"trl", "mypy", "lm-eval", "mkdocs"} & served


def test_every_default_extra_is_in_the_lock(bundle: ModuleType) -> None:
    names = bundle.needed("medicalgpt", bundle.EXTRAS.split(",")) - {"medicalgpt", "torch"}
    lock = (ROOT / "requirements.sha256").read_text() + (ROOT / "requirements-cuda.sha256").read_text()
    found = list(bundle.locked(lock, names))
    assert {canonicalize_name(entry.partition("==")[0]) for entry in found} == names
    assert all("--hash=sha256:" in entry for entry in found)


@pytest.fixture
def installed(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """A folder as `bundle.py` leaves it, but for the wheels, and a way to run its install.sh."""
    folder = tmp_path / "bundle"
    (folder / "wheels").mkdir(parents=True)
    (folder / "install.sh").write_text((ROOT / "offline" / "install.sh").read_text())
    (folder / "python-version").write_text(f"{sys.version_info.major}.{sys.version_info.minor}\n")
    (folder / "requirements.txt").write_text("")
    sums = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\n" for p in folder.iterdir() if p.is_file()]
    (folder / "SHA256SUMS").write_text("".join(sums))

    def run(*words: str, **changed: str) -> subprocess.CompletedProcess[str]:
        for name, text in changed.items():
            (folder / name.replace("_", "-")).write_text(text)
        return subprocess.run(
            ["sh", folder / "install.sh", *words],
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHON": sys.executable},
            check=False,
        )

    return run


def test_damage_another_python_and_a_taken_folder_stop_before_anything_is_made(
    installed: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    target = tmp_path / "env"
    taken = installed(str(tmp_path))
    assert (taken.returncode, taken.stderr) == (
        1,
        f"{tmp_path} is there already; name another folder: sh install.sh FOLDER\n",
    )
    damaged = installed(str(target), python_version="2.7\n")
    assert damaged.returncode == 1
    assert "damaged or missing" in damaged.stderr
    sums = tmp_path / "bundle" / "SHA256SUMS"
    kept = [line for line in sums.read_text().splitlines(keepends=True) if "python-version" not in line]
    other = installed(str(target), SHA256SUMS="".join(kept), python_version="2.7\n")
    assert other.returncode == 1
    assert "these wheels are for Python 2.7" in other.stderr
    assert not target.exists()


def test_containers_name_files_that_are_there_and_serve_this_machine_only() -> None:
    for file in sorted((ROOT / "docker").glob("*.Dockerfile")):
        lines = file.read_text().splitlines()
        copied = [
            word for line in lines if line.startswith("COPY ") and "--from" not in line for word in line.split()[1:-1]
        ]
        assert copied
        assert all((ROOT / name).exists() for name in copied), file
        assert "USER 10001:10001" in lines
    service = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]["api"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert (ROOT / "docker" / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]


def test_serve_and_vllm_go_into_one_environment() -> None:
    """vLLM 0.30 wants fastapi >= 0.133, < 0.137 (its own metadata), and `medicalgpt serve --backend vllm` needs both."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (vllm,) = map(Requirement, extras["vllm"])
    assert vllm.specifier.contains("0.30.0")
    (fastapi,) = (one for one in map(Requirement, extras["serve"]) if one.name == "fastapi")
    assert any(fastapi.specifier.contains(version) for version in ("0.133.0", "0.136.3"))
