"""benchmarks/gpu_check.py runs everywhere: tiny sections on whatever this machine has, and what it does with one that fails."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "gpu_check.py"


def check(folder: Path, *words: str) -> tuple[int, dict[str, dict[str, object]]]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--smoke", "--out", str(folder), *words],
        capture_output=True,
        text=True,
        check=False,
    )
    found = folder / "gpu_check.json"
    return done.returncode, json.loads(found.read_text()) if found.exists() else {"": {"stderr": done.stderr}}


@pytest.fixture
def driver() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_check", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize(
    "sections",
    [
        "hardware,attention,shapes,mask",
        "memory,speed,shard,generate",
        pytest.param("step,resume", marks=pytest.mark.nightly),
        pytest.param("devices", marks=pytest.mark.nightly),
    ],
)
def test_sections_hold_in_small(sections: str, tmp_path: Path) -> None:
    status, found = check(tmp_path, "--only", sections)
    assert status == 0, found
    assert list(found) == sections.split(",")
    for name, section in found.items():
        assert section["status"] == "ok", name
        assert section["facts"], name
    table = (tmp_path / "gpu_check.md").read_text()
    assert all(f"| **{name}** | ok |" in table for name in found)


def test_a_section_that_fails_is_told_and_hinders_nobody(
    driver: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text(
        "import json, os, sys, time\n"
        "name = sys.argv[sys.argv.index('--section') + 1]\n"
        "facts = {'said': 'FAILED by itself'} if name == 'mask' else {'said': 1}\n"
        "open(os.environ['GPU_CHECK_FACTS'], 'w').write(json.dumps(facts))\n"
        "if name == 'step': sys.exit('the last words')\n"
        "if name == 'shapes': time.sleep(60)\n"
    )
    monkeypatch.setattr(driver, "HERE", tmp_path)
    (tmp_path / "gpu_check.py").symlink_to(broken)
    found = {name: driver.watched(name, True, 2, tmp_path) for name in ("hardware", "step", "mask", "shapes")}
    assert {name: section["status"] for name, section in found.items()} == {
        "hardware": "ok",
        "step": "FAILED",
        "mask": "FAILED",
        "shapes": "cut off after 2 s",
    }
    assert "the last words" in found["step"]["end of its log"]
    assert found["shapes"]["facts"] == {"said": 1}
    assert "| | said | FAILED by itself |" in driver.table(found)


def test_an_unknown_section_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--only", "nothing", "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "unknown sections nothing; there are hardware" in done.stderr
    assert not (tmp_path / "out").exists()
