"""The clean subset of a test: its items without those that stand in what the model was trained on, as its corpora know."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from medicalgpt.config.sections import ModelConfig
from medicalgpt.evaluation.catalog import FoundTest
from medicalgpt.evaluation.outcomes import JsonObject, Outcome
from medicalgpt.models.adapter_config import down_to_base
from medicalgpt.models.locate import locate
from medicalgpt.runs.bases import run_of
from medicalgpt.runs.corpus import corpora_of, seen_items


def corpora_behind(models: Sequence[ModelConfig]) -> list[Path]:
    """The curations that models were trained on, as far as the runs they come from are still there.

    Raises:
        ModelError: a model is not found. RunError: a manifest is damaged.
    """
    found: dict[Path, None] = {}
    for model in models:
        adapters, base = down_to_base(locate(model.base, model.at, model.trust_remote_code), model.trust_remote_code)
        for place in (*adapters, base):
            run = run_of(place)
            found |= dict.fromkeys(corpora_of(run) if run is not None else ())
    return list(found)


def clean_scores(
    corpora: Sequence[Path],
    tests: Sequence[FoundTest],
    outcomes: Mapping[str, Sequence[Outcome]],
    score: Callable[[str, Sequence[Outcome]], JsonObject],
) -> dict[str, JsonObject]:
    """By test how many of its items were seen in training, and its score without them; nothing for models of no corpus.

    Args:
        score: the number of some outcomes of a test, with its interval.

    Raises:
        RunError: a corpus' list of items is damaged.
    """
    found: dict[str, JsonObject] = {}
    for test in tests if corpora else ():
        name = test.config.name
        seen = seen_items(corpora, name, test.hashes)
        if not seen.looked:
            found[name] = {"looked_for": False}
            continue
        left = [outcome for outcome in outcomes[name] if outcome.id not in seen.items]
        score_left = {key: value for key, value in score(name, left).items() if key != "tests"}
        found[name] = {"looked_for": True, "seen": len(outcomes[name]) - len(left), **score_left}
    return found
