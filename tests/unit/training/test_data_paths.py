"""Data that is not there is said before a model is looked for, and a pipeline's before its first stage."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from medicalgpt.config.loader import load
from medicalgpt.config.lookup import stage_schema
from medicalgpt.config.stages import STAGES
from medicalgpt.errors import DataError
from medicalgpt.pipeline.run import run_pipeline
from medicalgpt.training.stage import run_stage

ROW = '{"question": "Is 38 °C a fever?", "answer": "Yes."}\n'
NEEDED = {
    "ppo": "reward.model=nowhere/reward",
    "rloo": "reward.model=nowhere/reward",
    "grpo": "reward.model=nowhere/reward",
}
NEEDED["distill"] = "objective.teacher=nowhere/teacher"


@pytest.mark.parametrize(
    ("stage", "key"), [*((stage, key) for stage in STAGES for key in ("train", "eval")), ("pt", "replay")]
)
def test_before_any_model_is_looked_for(stage: str, key: str, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(ROW)
    paths = {"train": tmp_path / "rows.jsonl"} | {key: tmp_path / "lost.jsonl"}
    words = [f"data.{name}=[{path}]" for name, path in paths.items()]
    words += ["model.base=nowhere/no-such-model", f"output_dir={tmp_path / 'out'}"]
    words += [NEEDED[stage]] if stage in NEEDED else []
    with pytest.raises(DataError, match=rf"^data\.{key}: .*lost\.jsonl: no such file or folder"):
        run_stage(load(stage_schema(stage), None, words))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"second": {"data.train": ["{lost}"]}}, r"^stage second: data\.train: .*lost\.jsonl: no such file"),
        ({"first": {"data.eval": ["{lost}"]}}, r"^stage first: data\.eval: .*lost\.jsonl: no such file"),
        ({"compare": {"dialogues": ["{lost}"]}}, r"^compare\.dialogues: .*lost\.jsonl: no such file"),
        ({"second": {"data.train": ["{out}/first/answers.jsonl"]}}, None),
    ],
)
def test_before_the_first_stage_of_a_pipeline(
    changes: dict[str, Any], said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a stage before writes cannot be there yet."""
    (tmp_path / "rows.jsonl").write_text(ROW)
    places = {"lost": str(tmp_path / "lost.jsonl"), "out": str(tmp_path / "out")}

    def filled(values: dict[str, list[str]]) -> dict[str, list[str]]:
        return {key: [path.format(**places) for path in paths] for key, paths in values.items()}

    stages = [
        {
            "name": name,
            "stage": "sft",
            "set": {"data.train": [str(tmp_path / "rows.jsonl")], **filled(changes.get(name, {}))},
        }
        for name in ("first", "second")
    ]
    whole = {"output_dir": places["out"], "stages": stages, "compare": filled(changes.get("compare", {}))}
    (tmp_path / "pipeline.yaml").write_text(yaml.safe_dump(whole))

    def trained(*_: Any) -> None:
        raise InterruptedError("the first stage began")

    monkeypatch.setattr("medicalgpt.pipeline.run.Pipeline.train", trained)
    if said is None:
        with pytest.raises(InterruptedError):
            run_pipeline(str(tmp_path / "pipeline.yaml"))
    else:
        with pytest.raises(DataError, match=said):
            run_pipeline(str(tmp_path / "pipeline.yaml"))
