"""An evaluation: named tests and one model in, a folder of numbers out."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

import torch

from medicalgpt import __version__
from medicalgpt.config.sections import ModelConfig
from medicalgpt.disk.private import private_files
from medicalgpt.errors import RunError, ServeError
from medicalgpt.evaluation.answering import Answerer, require_free, save_answers
from medicalgpt.evaluation.catalog import FoundTest
from medicalgpt.evaluation.choices import ChoiceScorer
from medicalgpt.evaluation.clean import corpora_behind
from medicalgpt.evaluation.identity import weights_of
from medicalgpt.evaluation.names import ITEMS, PROGRESS, RESULTS
from medicalgpt.evaluation.outcomes import JsonObject
from medicalgpt.evaluation.progress import Progress, write_items
from medicalgpt.evaluation.results import SCHEMA, results_of
from medicalgpt.evaluation.settings import Settings
from medicalgpt.evaluation.suite import Say, Taker, run_test
from medicalgpt.evaluation.written.checked import check_of, identity
from medicalgpt.evaluation.written.grading import Grader
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.open_model import ModelRequest, Opened, on_torch
from medicalgpt.gguf.file import is_gguf
from medicalgpt.kernels.products import quick_products
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.context import context_of
from medicalgpt.models.policy import CausalPolicy
from medicalgpt.models.probe import probe
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.corpus import ITEMS as ITEMS_IN_CORPUS
from medicalgpt.runs.hashes import code_hash, hash_file, hash_json, hash_tree
from medicalgpt.runs.lock import FolderLock

MODEL_FILES: Final = ("*.safetensors", "*.jinja", "tokenizer*.json", "config.json")


def evaluate(
    asked: ModelRequest,
    tests: Sequence[FoundTest],
    settings: Settings,
    folder: Path,
    say: Say,
    answers: Path | None = None,
) -> JsonObject:
    """Run tests with a model; `folder` gets results.json and items.jsonl.gz. Finished with the same key, nothing is done.

    Args:
        answers: a file for what the model wrote (`settings.answers`), with no word of the questions.

    Raises:
        ModelError, RenderError, ServeError: the model cannot be opened. DataError: a test's file has rows that are no items.
        ContextError: answers would leave no room for any question. RunError: the folder is in use or cannot be written, or
            `answers` exists, or a judge is silent. ConfigError: tests, settings and judge do not fit together.
    """
    if asked.options.backend != "auto" or is_gguf(asked.config.base):
        raise ServeError(
            "an evaluation needs the log-likelihoods of a model that is loaded here; give its folder in place of a .gguf file, "
            "and leave --backend out"
        )
    settings.check([test.config for test in tests])
    corpora = corpora_behind(_models(asked))
    facts = _facts(asked, tests, settings, corpora)
    key = hash_json(facts)
    done = _with_check(folder, settings)
    earlier = done.get("saved_answers") if done is not None else None
    if answers is not None:
        require_free(answers, earlier)
    if done is not None and done["key"] == key and (answers is None or answers.is_file()):
        return done
    grader = Grader(settings.judge) if settings.judge is not None else None
    with private_files(), _locked(folder), quick_products():
        began = time.monotonic()
        opened = on_torch(asked)
        taker = Taker(scorer_of(opened, settings), _answerer(opened, settings, answers is not None, grader))
        progress = Progress(folder / PROGRESS, key if answers is None else f"{key} with answers")
        outcomes = {t.config.name: run_test(t, taker, settings, progress, say) for t in tests}
        write_items(folder / ITEMS, outcomes.items())
        results = results_of(facts, key, tests, settings, outcomes, corpora)
        results |= {"items": hash_file(folder / ITEMS), "seconds": round(time.monotonic() - began, 1)}
        results |= {"places": opened.origin["places"], "template": opened.origin["template"], "medicalgpt": __version__}
        results |= {"judge": _judge(settings)} if settings.judge is not None else {}
        if answers is not None:
            results["saved_answers"] = save_answers(answers, outcomes)
        write_text(folder / RESULTS, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        progress.remove()
        return results


def _judge(settings: Settings) -> JsonObject:
    """Who graded, and how far that judge is known to be right."""
    assert settings.judge is not None
    return {**identity(settings.judge), "check": check_of(settings.judge)}


def _with_check(folder: Path, settings: Settings) -> JsonObject | None:
    """The results in a folder; what was found out since about their judge is put into them."""
    done = finished(folder)
    if settings.judge is None:
        return done
    found = _judge(settings)  # a file that is no check is told before anything is done
    if done is None or done["settings"].get("judge") != settings.facts()["judge"]:
        return done
    if done["judge"] != found:
        done["judge"] = found
        write_text(folder / RESULTS, json.dumps(done, indent=1, ensure_ascii=False) + "\n")
    return done


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(folder / ".lock")
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def usual_folder(model: str, names: Sequence[str]) -> Path:
    """Where an evaluation goes: within a run's or model's folder, else below runs/evaluation."""
    inside, name = Path(model), "+".join(names)
    return inside / "evaluation" / name if inside.is_dir() else Path("runs/evaluation") / inside.name / name


def finished(folder: Path) -> JsonObject | None:
    """The results in a folder; None where there are none."""
    try:
        found = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("schema_version") == SCHEMA else None


def require_finished(folder: Path) -> JsonObject:
    """The results in a folder. Raises RunError where there are none, or items of another evaluation lie beside them."""
    found = finished(folder)
    if found is None:
        raise RunError(f"{folder} holds no finished evaluation ({RESULTS}); make one with `medicalgpt evaluate run`")
    if hash_file(folder / ITEMS) != found.get("items"):
        raise RunError(f"{folder / ITEMS} is not the one that {RESULTS} was made from; run the evaluation again")
    return found


def scorer_of(opened: Opened, settings: Settings) -> ChoiceScorer:
    """What scores items with a model that was opened in this process."""
    assert opened.model is not None  # what runs here has it
    found = probe(opened.model)
    policy = CausalPolicy(opened.model, found.batching, found.chunked_head).eval()
    context = context_of(unwrap(opened.model).config)
    return ChoiceScorer(policy, opened.template, settings.profile == "chat", settings.capacity, context)


def _answerer(opened: Opened, settings: Settings, texts: bool, grader: Grader | None) -> Answerer | None:
    if settings.answers is None:
        return None
    engine = Engine(opened.model, opened.tokenizer, opened.template, opened.origin)
    return Answerer(engine, settings.answers, texts, grader)


def _facts(asked: ModelRequest, tests: Sequence[FoundTest], settings: Settings, corpora: Sequence[Path]) -> JsonObject:
    """All that the numbers depend on."""
    own = hash_json(hash_tree(Path(__file__).parent, ("**/*.py", "safety/*.yaml")))
    return {
        "schema_version": SCHEMA,
        "model": {
            "weights": [weights_of(model, MODEL_FILES) for model in _models(asked)],
            "options": asdict(asked.options),
            "config": asked.config.model_dump(mode="json"),
        },
        "settings": settings.facts(),
        "tests": {t.config.name: _test_facts(t) for t in tests},
        "code": [code_hash(), own],
        "threads": torch.get_num_threads(),
        **({"corpora": [hash_file(run / ITEMS_IN_CORPUS) for run in corpora]} if corpora else {}),
    }


def _models(asked: ModelRequest) -> list[ModelConfig]:
    """The model, and the adapter that is put on it by the caller."""
    config = asked.config
    extra = [config.adapter] if config.adapter else []
    return [config, *(ModelConfig(base=a, trust_remote_code=config.trust_remote_code) for a in extra)]


def _test_facts(found: FoundTest) -> JsonObject:
    facts = hash_json(found.config.model_dump(mode="json", exclude={"on_hub"}))  # told only: no number depends on it
    return {"facts": facts, "files": found.hashes, "version": found.config.version}
