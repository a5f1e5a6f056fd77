"""Rows, configs and runs of curations for tests; the texts are made up."""

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from medicalgpt.config.curation import CurateConfig
from medicalgpt.config.loader import load
from medicalgpt.curation.local import LocalExecutor
from medicalgpt.curation.stage import curate

PHONE, MAIL = "13812345678", "wang.jianguo@example.com"
HAN = [chr(code) for code in range(0x4E00, 0x5E00)]
SECRETS = (PHONE, MAIL)
ADVICE = "多喝水，清淡饮食，注意休息；如果三天后仍然没有好转，请到医院就诊，由医生检查后再决定是否需要用药。"


def qa(number: int, more: str = "") -> dict[str, str]:
    """A question and an answer like no other."""
    own = random.Random(number)
    organ = "心肝脾肺肾胃肠胆骨皮耳眼鼻喉牙发"[number % 16]
    asked = f"第{number}问：我的{organ}部不舒服已经{number % 29 + 1}天了，{'晨起' if number % 3 else '夜间'}更明显，该怎么办？{more}"
    told = f"{organ}部不适{number}例中常见的原因有{number % 7 + 2}种。" + "".join(own.choice(HAN) for _ in range(200))
    return {"question": asked, "answer": told + ADVICE}


def write(path: Path, rows: Iterable[object]) -> Path:
    """A .jsonl file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def resolved(sources: dict[str, Any], output: Path, *words: str) -> Any:
    """A config as `curate` takes it; personal data by patterns alone, in this process."""
    given = {"sources": sources, "output_dir": str(output), "personal_data.detectors": ["patterns"], "scale.workers": 1}
    return load(CurateConfig, None, [*(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in given.items()), *words])


def made(sources: dict[str, Any], output: Path, *words: str, **more: Any) -> Path:
    """The folder of a corpus."""
    return curate(resolved(sources, output, *words), **more)


def rows_in(folder: Path) -> list[dict[str, Any]]:
    """Rows of all files below a folder, in order."""
    files = sorted(folder.rglob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    """What must be the same bytes however a run came about."""
    names = ("curation.json", "curation.md", "items.json")
    found = [*folder.glob("train/*/*"), *folder.glob("held_out/*/*"), *(folder / name for name in names)]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(found)}


class Watching(LocalExecutor):
    """Looks through the run folder after every step: `found` are secrets that stand in any file there."""

    def __init__(self, root: Path, secrets: Sequence[str]) -> None:
        super().__init__(1)
        self.root, self.secrets, self.found, self.looked = root, secrets, [], 0  # type: ignore[var-annotated]

    def run(self, folder: Path, step: str, count: int) -> None:
        super().run(folder, step, count)
        for file in self.root.rglob("*"):
            if file.is_file():
                self.looked += 1
                self.found += [(step, file.name) for s in self.secrets if s.encode() in file.read_bytes()]
