"""docs/api.md, run from top to bottom on a tiny model, and what the functions say to wrong calls."""

import io
import re
import shutil
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from tests.stages import SMALL, dialogues
from tests.tiny import save_tiny

import medicalgpt
from medicalgpt import (
    ConfigError,
    DataError,
    Engine,
    ModelError,
    Pipeline,
    RenderError,
    Run,
    RunError,
    Sampling,
    ServeError,
    load_config,
    train,
)
from medicalgpt.runs.run import Metrics

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs/api.md").read_text(encoding="utf-8"), re.DOTALL)
SHORT = [
    "data.max_tokens=1024",
    "train.row_tokens=1024",
    "train.tokens_per_step=1024",
    "train.max_steps=2",
    "train.sample_count=0",
]
SHORT += ["model.dtype=float32", "data.eval=[]", "data.eval_fraction=0.2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the page supposes it: sample data (a little of it), configs, and a tiny model."""
    folder = tmp_path_factory.mktemp("api")
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copytree(ROOT / "examples/tests", folder / "examples/tests")
    for kind in ("dialogues", "preferences"):
        for name in (kind, f"{kind}-heldout"):
            target = folder / f"examples/data/{name}/en.jsonl"
            target.parent.mkdir(parents=True)
            lines = (ROOT / f"examples/data/{name}/en.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
            target.write_text("".join(lines[:12]), encoding="utf-8")
    for name in ("documents", "documents-heldout"):
        for path in sorted((ROOT / f"examples/data/{name}/en").iterdir())[:2]:
            (folder / f"examples/data/{name}/en").mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / f"examples/data/{name}/en")
    save_tiny(folder / "tiny", max_position_embeddings=2048)
    return folder


def shortened(block: str) -> str:
    """The same calls on the tiny model, two steps each."""
    stages = [f"{stage}.{word}" for stage in ("pt", "sft", "dpo") for word in SHORT]
    compare = ["compare.rows=2", "compare.max_tokens=1024", "compare.stop_prompts=1", "compare.stop_tokens=4"]
    few = ["output_dir=runs/chain", "base=tiny", *stages, *compare]
    block = block.replace('"smollm2-135m"', '"tiny"').replace('["output_dir=runs/chain"]', repr(few))
    values = dict(word.split("=", 1) for word in SHORT)
    brief = ", ".join(
        f'"{key}": {value if value[0].isdigit() or value[0] == "[" else repr(value)}' for key, value in values.items()
    )
    block = block.replace('{"train.max_steps": 2}', "{" + brief + ', "model.base": "tiny"}')
    return re.sub(r"(render|inspect)\((.*?)(, rows=1)?\)", r'\1(\2\3, model="tiny")', block)


@pytest.mark.slow
def test_every_block_of_the_page_runs(place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("MEDICALGPT_HOME", str(tmp_path / "home"))
    trained = next(block for block in BLOCKS if "run = train(" in block)
    names: dict[str, object] = {}
    out = io.StringIO()
    with redirect_stdout(out):
        exec(shortened(trained), names)  # the page begins with a model that is there already
        for block in BLOCKS:
            exec(shortened(block), names)
    assert len(BLOCKS) >= 10
    said = out.getvalue()
    for expected in ("tokens,", "GB", "runs/mine", "perplexity", "runs/none"):
        assert expected in said, expected
    assert (place / "models/assistant.gguf").is_file()
    assert (place / "models/assistant-int8/certificate.json").is_file()
    assert isinstance(names["rows"], Metrics)


def test_a_run_says_what_it_has(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    rows = place / "rows.jsonl"
    rows.write_text("\n".join(map(__import__("json").dumps, dialogues())), encoding="utf-8")
    words = {key: value for key, _, value in (word.partition("=") for word in SMALL)}
    run = train(
        "sft", model=place / "tiny", data=rows, output_dir=place / "r", overrides=[f"{k}={v}" for k, v in words.items()]
    )
    assert run.finished
    assert run.manifest.stage == "sft"
    assert [step for step, _ in run.metrics().column("train/loss")][-1] == 2
    assert run.reward_report is None
    with pytest.raises(RunError, match=r"no line has 'loss'; there are: .*train/loss"):
        run.metrics().column("loss")
    assert Engine.open(run).chat("What helps with fever?", max_new_tokens=2).text is not None
    again = train("sft", model=place / "tiny", data=rows, output_dir=place / "r", overrides=list(SMALL))
    assert again.manifest == run.manifest
    with pytest.raises(RunError, match="no run folder"):
        Run(place / "configs")


def test_wrong_calls_say_what_is_right(place: Path) -> None:
    config = load_config(
        "sft", model=place / "tiny", data=[place / "a.jsonl"], output_dir=place / "x", lora={"rank": 2}
    )
    assert (config.value.lora.rank, config.value.data.train) == (2, [str(place / "a.jsonl")])
    assert config.origin["lora.rank"] == "override"
    with pytest.raises(ConfigError, match="give keys to load_config"):
        train("sft", config=config, data="b.jsonl")
    with pytest.raises(ConfigError, match=r"no config of dpo; load it with load_config\('dpo'"):
        train("dpo", config=config)
    with pytest.raises(ConfigError, match="learning_rat"):
        load_config("sft", data="a", output_dir="b", train={"learning_rat": 1.0})
    with pytest.raises(ConfigError, match="sftt"):
        load_config("sftt", data="a", output_dir="b")
    with pytest.raises(ConfigError, match="a set is no value"):
        load_config("sft", data="a", output_dir="b", overrides={"train.seed": {1}})
    with pytest.raises(ModelError, match="either a model or params"):
        medicalgpt.estimate()


def test_what_may_be_asked(place: Path) -> None:
    engine = Engine.open(place / "tiny")
    text, turns = "What is a fever?", [{"role": "user", "content": "What is a fever?"}]
    first = engine.chat(text, max_new_tokens=6)
    assert str(first) == first.text
    assert first == engine.chat(turns, Sampling(6)) == engine.generate([text], Sampling(6))[0]
    assert first != engine.chat(text, system="Be brief.", max_new_tokens=6)
    assert "".join(engine.stream(text, Sampling(6))) == first.text
    with pytest.raises(ServeError, match="not both"):
        engine.chat(text, Sampling(6), temperature=0.5)
    with pytest.raises(ServeError, match="list of prompts"):
        engine.generate(text)
    with pytest.raises(ServeError, match="a list of turns"):
        engine.generate(turns)
    with pytest.raises(ServeError, match="role"):
        engine.chat([{"role": "doctor", "content": "x"}])
    with pytest.raises(ServeError, match="own system turn"):
        engine.chat(turns, system="Be brief.")


def test_overrides_are_a_mapping_or_words(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    file = Path("configs/pipelines/dpo.yaml")
    for given in ({"output_dir": Path("runs/x")}, ["output_dir=runs/x"], "output_dir=runs/x"):
        assert Pipeline(file, given).folder("sft") == Path("runs/x/sft")
    config = load_config("sft", data="a", output_dir="b", overrides={"train": {"seed": 7}, "data.system": None})
    assert (config.value.train.seed, config.value.data.system) == (7, None)
    assert load_config("sft", data="a", output_dir="b", overrides="train.seed=8").value.train.seed == 8


def test_a_run_stands_for_its_folder(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / "config.resolved.yaml").write_text("output_dir: begun\n", encoding="utf-8")
    run = Run(begun)
    assert not run.finished
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"question": "a", "answer": "b"}\n', encoding="utf-8")
    calls = (
        lambda: train("sft", model=run, data=rows, output_dir=tmp_path / "next"),
        lambda: medicalgpt.merge(run, tmp_path / "merged"),
        lambda: medicalgpt.export_gguf(run, tmp_path / "model.gguf"),
        lambda: medicalgpt.quantize(run, tmp_path / "small", "cpu-int8"),
        lambda: medicalgpt.estimate(run),
        lambda: medicalgpt.inspect(rows, model=run),
        lambda: Engine.open(run),
    )
    for call in calls:
        with pytest.raises(ModelError, match="begun is an unfinished run"):
            call()


def test_reading_and_rendering_refuse_what_they_do_not_know(place: Path) -> None:
    rows = place / "examples/data/dialogues/en.jsonl"
    with pytest.raises(DataError, match="kind is 'dialog'; allowed: document, dialogue"):
        medicalgpt.read(rows, "dialog")  # type: ignore[arg-type]  # what is tested
    with pytest.raises(ConfigError, match="on_bad_row"):
        medicalgpt.read(rows, on_bad_row="skip")  # type: ignore[arg-type]  # what is tested
    with pytest.raises(DataError, match="name one with kind="):
        medicalgpt.read(place / "examples/data")
    good = list(medicalgpt.read(rows))[:2]
    bad = medicalgpt.Dialogue((medicalgpt.Message("assistant", "x"),), good[0].source)
    with pytest.raises(RenderError, match=r"en\.jsonl:1: .*on_bad_row='drop'"):
        list(medicalgpt.render([bad], model=place / "tiny"))
    assert len(list(medicalgpt.render([bad, *good], model=place / "tiny", on_bad_row="drop", max_tokens=2048))) == 2
