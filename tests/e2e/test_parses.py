"""How often a run reads its training data, and that samples ask the prompts that stand in it."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.marks import quick_and_slow
from tests.stages import Bench

from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.records import Dialogue, Feedback, Kind, Message, Preference
from medicalgpt.data.rows import RawRow, open_raw_rows, open_rows
from medicalgpt.data.split import choose_eval, group_key

STAGES: dict[str, Kind] = {
    "pt": "document",
    "sft": "dialogue",
    "dpo": "preference",
    "rm": "preference",
    "kto": "feedback",
}
SEED, COUNT, FRACTION = 5, 2, 0.4


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Counter[str]:
    """How often each file was opened to be cut into rows, by whoever did it; the token cache begins empty."""
    monkeypatch.setenv("MEDICALGPT_CACHE", str(tmp_path / "cache"))
    count: Counter[str] = Counter()

    for openers in (open_rows, open_raw_rows):

        def counted(path: Path, *args: Any, opened: Callable[..., Iterator[RawRow]] = openers) -> Iterator[RawRow]:
            count[str(path)] += 1
            return opened(path, *args)

        for name, module in list(sys.modules.items()):
            if name.startswith("medicalgpt.") and getattr(module, openers.__name__, None) is openers:
                monkeypatch.setattr(module, openers.__name__, counted)
    return count


def expected(path: Path, kind: Kind) -> list[tuple[list[dict[str, Any]], str, str]]:
    """Prompt, reference and place of the first held-out rows, straight from the file."""
    records = list(read([path], kind, ledger=Ledger()))
    held = choose_eval([group_key(r) for r in records], FRACTION, SEED)
    found: list[tuple[tuple[Message, ...], str, str]] = []
    for record in (r for r in records if group_key(r) in held):
        if isinstance(record, Dialogue):
            last = max(i for i, m in enumerate(record.messages) if m.role == "assistant")
            found.append((record.messages[:last], record.messages[last].content, str(record.source)))
        elif isinstance(record, Preference):
            found.append((record.prompt, record.chosen[-1].content, str(record.source)))
        elif isinstance(record, Feedback) and record.desirable:
            found.append((record.prompt, record.answer[-1].content, str(record.source)))
    return [([m.as_dict() for m in turns], reference, source) for turns, reference, source in found[:COUNT]]


@pytest.mark.parametrize("stage", quick_and_slow(["sft", "kto"], ["pt", "dpo", "rm"]))
def test_a_run_parses_its_data_twice_when_cold_and_never_when_hot(
    stage: str, bench: Bench, tmp_path: Path, parsed: Counter[str], no_figures: None
) -> None:
    options = (
        f"train.seed={SEED}",
        f"train.sample_count={COUNT}",
        f"data.eval_fraction={FRACTION}",
        "train.sample_tokens=4",
    )
    file = bench.folder / f"{stage}.jsonl"
    bench.train(stage, tmp_path / "cold", *options)
    assert 1 <= parsed[str(file)] <= 2
    parsed.clear()
    bench.train(stage, tmp_path / "hot", *options)
    assert parsed == {}
    if stage in ("pt", "rm"):
        return
    prompts = expected(file, STAGES[stage])
    for run in ("cold", "hot"):
        lines = [json.loads(x) for x in (tmp_path / run / "samples.jsonl").read_text(encoding="utf-8").splitlines()]
        assert [(x["prompt"], x["reference"], x["source"]) for x in lines[: len(prompts)]] == prompts
