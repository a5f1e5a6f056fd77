"""Several adapters on one base answer as each does alone."""

import json
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from tests.tiny import save_tiny, tiny_model, tiny_tokenizer

from medicalgpt.data.records import Message
from medicalgpt.errors import ModelError, ServeError
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling
from medicalgpt.generate.shared import SharedBase

PROMPTS = [[Message("user", text)] for text in ("fever?", "How is high blood pressure treated?")]
SAMPLING = Sampling(16)  # long enough for packed weights, which hold the adapter that is on


@dataclass
class Shelf:
    base: Path
    adapters: dict[str, str]


def save_adapter(folder: Path, base: Path, kind: str, seed: int, **settings: object) -> str:
    """An adapter that changes the answers."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    options = {
        "r": 4,
        "lora_alpha": 32,
        "target_modules": "all-linear",
        "init_lora_weights": False,
        "task_type": "CAUSAL_LM",
    }
    model = get_peft_model(tiny_model(kind), LoraConfig(**{**options, **settings}))
    model.peft_config["default"].base_model_name_or_path = str(base)
    model.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module", params=["llama", "bloom"])
def shelf(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """By our decoder and by transformers: a base, and adapters of two ranks, one of them with a template of its own."""
    kind, folder = request.param, tmp_path_factory.mktemp("shelf")
    base = save_tiny(folder / "base", kind)
    first = save_adapter(folder / "one", base, kind, 1)
    second = save_adapter(folder / "two", base, kind, 2, r=2, use_dora=True)
    tokenizer = tiny_tokenizer()
    before = tokenizer.chat_template
    tokenizer.chat_template = before.replace("<|im_start|>", "<|im_start|>the ")
    tokenizer.save_pretrained(second)
    tokenizer.chat_template = before
    return Shelf(base, {"ward": first, "clinic-2.0": second})


def test_every_name_answers_as_it_does_alone(shelf: Shelf) -> None:
    alone = {name: Engine.open(str(shelf.base), adapter=path) for name, path in shelf.adapters.items()}
    alone["base"] = Engine.open(str(shelf.base))
    expected = {name: engine.generate(PROMPTS, SAMPLING) for name, engine in alone.items()}
    shared = SharedBase.open(str(shelf.base), shelf.adapters, plain="base", inference_only=True)
    assert shared.names == ["ward", "clinic-2.0", "base"]
    assert len({str(answers) for answers in expected.values()}) == 3
    for name in ("base", "clinic-2.0", "ward", "clinic-2.0", "base", "ward"):
        assert shared.engine(name).generate(PROMPTS, SAMPLING) == expected[name]
    assert shared.engine("ward").context == alone["ward"].context
    assert shared.engine("clinic-2.0").prepare(PROMPTS[0], SAMPLING) != shared.engine("ward").prepare(
        PROMPTS[0], SAMPLING
    )


def test_the_base_is_in_memory_once(shelf: Shelf) -> None:
    shared = SharedBase.open(str(shelf.base), shelf.adapters, plain="base")
    assert len({id(shared.engine(name).model) for name in shared.names}) == 1
    for name, path in shelf.adapters.items():
        assert shared.engine(name).origin["places"] == [str(shelf.base), path]
    assert shared.engine("base").origin["places"] == [str(shelf.base)]


def test_calls_at_the_same_time_do_not_mix_adapters(shelf: Shelf) -> None:
    shared = SharedBase.open(str(shelf.base), shelf.adapters)
    expected = {name: shared.engine(name).generate(PROMPTS[:1], SAMPLING)[0].text for name in shared.names}
    wrong: list[str] = []

    def ask(name: str, streamed: bool) -> None:
        for _ in range(4):
            engine = shared.engine(name)
            if streamed:
                text = "".join(engine.stream(PROMPTS[0], SAMPLING))
            else:
                text = engine.generate(PROMPTS[:1], SAMPLING)[0].text
            if text != expected[name]:
                wrong.append(name)

    threads = [threading.Thread(target=ask, args=(name, i > 0)) for i in range(2) for name in shared.names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_stream_that_is_left_frees_the_base(shelf: Shelf) -> None:
    shared = SharedBase.open(str(shelf.base), shelf.adapters)
    expected = shared.engine("clinic-2.0").generate(PROMPTS, SAMPLING)
    stream = shared.engine("ward").stream(PROMPTS[0], Sampling(400, temperature=1.0))
    next(stream)
    stream.close()
    assert shared.engine("clinic-2.0").generate(PROMPTS, SAMPLING) == expected


def test_a_backend_that_holds_the_model_itself_is_refused(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Engine.open

    def elsewhere(*args: str, **options: str) -> Engine:
        engine = opened(*args, **options)
        engine.model = None  # as behind vLLM, which is not installed here
        return engine

    monkeypatch.setattr(Engine, "open", elsewhere)
    with pytest.raises(ServeError, match="transformers backend only"):
        SharedBase.open(str(shelf.base), shelf.adapters)


def test_names_that_are_not_there_are_named(shelf: Shelf) -> None:
    shared = SharedBase.open(str(shelf.base), shelf.adapters)
    with pytest.raises(ServeError, match=r"did you mean 'ward'.*there are: ward, clinic-2\.0"):
        shared.engine("wards")
    with pytest.raises(ServeError, match="one or more"):
        SharedBase.open(str(shelf.base), {})
    with pytest.raises(ServeError, match="none of them ward"):
        SharedBase.open(str(shelf.base), shelf.adapters, plain="ward")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"modules_to_save": ["lm_head"]}, "modules_to_save.*serve it alone"),
        ({"bias": "all"}, "bias.*serve it alone"),
        ({"task_type": "SEQ_CLS"}, "reward model"),
    ],
)
def test_adapters_that_cannot_lie_beside_others_are_refused(
    change: dict[str, object], words: str, tmp_path: Path
) -> None:
    base = save_tiny(tmp_path / "base")
    good, odd = (save_adapter(tmp_path / name, base, "llama", 1) for name in ("good", "odd"))
    path = Path(odd) / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError, match=words):
        SharedBase.open(str(base), {"good": good, "odd": odd})


def test_an_adapter_of_another_base_is_refused(tmp_path: Path) -> None:
    base, other = save_tiny(tmp_path / "base"), save_tiny(tmp_path / "other", hidden_size=64)
    good = save_adapter(tmp_path / "good", base, "llama", 1)
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(tiny_model(hidden_size=64), LoraConfig(r=4, target_modules="all-linear"))
    model.peft_config["default"].base_model_name_or_path = str(other)
    model.save_pretrained(tmp_path / "stranger")
    with pytest.raises(ModelError, match="stranger does not fit this base model"):
        SharedBase.open(str(base), {"good": good, "stranger": str(tmp_path / "stranger")})
