"""The lock and its hashes name the same versions, and the set-up checks every file that it installs."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK, COMMON, TORCH, CUDA = (
    ROOT / f"requirements{end}" for end in (".lock", ".sha256", "-torch.sha256", "-cuda.sha256")
)
NAMED = re.compile(r"^([A-Za-z0-9._-]+==[^\s;\\]+)", re.MULTILINE)


def pins(*paths: Path) -> list[str]:
    return sorted(pin for path in paths for pin in NAMED.findall(path.read_text(encoding="utf-8")))


def hashed(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Each package of a file and its hashes."""
    for part in re.split(r"^(?=[A-Za-z0-9])", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        yield part.split()[0], re.findall(r"--hash=sha256:([0-9a-f]{64})\b", part)


def test_the_hashes_are_those_of_the_locked_versions() -> None:
    assert [pin for pin in pins(COMMON, TORCH, CUDA) if not pin.startswith("triton==")] == pins(LOCK)


def test_every_package_has_a_hash() -> None:
    for path in (COMMON, TORCH, CUDA):
        assert [name for name, hashes in hashed(path) if not hashes] == []


def test_torch_may_come_from_its_own_index_too() -> None:
    assert "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b" in dict(hashed(TORCH))["torch==2.13.0"]


def test_what_only_a_gpu_needs_is_apart() -> None:
    assert [name for name, _ in hashed(TORCH)] == ["torch==2.13.0"]
    assert not [pin for pin in pins(COMMON) if pin.startswith(("nvidia-", "cuda-", "triton="))]
    assert "nvidia-cublas" in {pin.partition("==")[0] for pin in pins(CUDA)}


def test_the_set_up_checks_hashes_before_it_installs_anything_else() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("$(READY): ")[2].partition("\n\n")[0]
    calls = [line for line in recipe.splitlines() if "$(INSTALL)" in line]
    assert [re.findall(r"requirements[\w.-]*", line)[-1] for line in calls] == [
        path.name for path in (TORCH, COMMON, CUDA, LOCK)
    ]
    assert all("--require-hashes" in line for line in calls[:-1])
