"""GGUF files in llama.cpp against the same model in transformers: tokens, seeds, stops, streams, limits, errors."""

import shutil
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.llamacpp import tiny_gguf
from tests.tiny import tiny_tokenizer

from medicalgpt.data.records import Message
from medicalgpt.errors import MedicalGPTError, ServeError
from medicalgpt.generate.engine import Completion, Engine
from medicalgpt.generate.sampling import Sampling
from medicalgpt.rendering.template import ChatTemplate

pytest.importorskip("xllamacpp")

QUESTIONS = ["What is a fever?", "高血壓的症狀?", "hi", "How is high blood pressure treated in an old person?"]
PROMPTS = [[Message("system", "Be brief."), Message("user", text)] for text in QUESTIONS]
SAMPLED = Sampling(max_new_tokens=30, temperature=0.9, top_p=0.9, top_k=50, seed=3)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, Engine]:
    """The same tiny llama in llama.cpp and in transformers."""
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    model = tiny_gguf(path)
    tokenizer = tiny_tokenizer()
    return Engine.open(str(path)), Engine(model, tokenizer, ChatTemplate.load(tokenizer))


@pytest.fixture(scope="module")
def engine(pair: tuple[Engine, Engine]) -> Engine:
    return pair[0]


def tokens(answers: list[Completion]) -> list[list[int]]:
    return [answer.token_ids for answer in answers]


GREEDY = {
    "plain": Sampling(max_new_tokens=40),
    "repetition penalty": Sampling(max_new_tokens=40, repetition_penalty=1.3),
    "bias and penalty": Sampling(max_new_tokens=40, repetition_penalty=1.3, logit_bias=((5, 3.0), (9, -100.0))),
    "shortest": Sampling(max_new_tokens=40, min_new_tokens=20),
    "stop text": Sampling(max_new_tokens=40, stop=("e",)),
    "one token": Sampling(max_new_tokens=1),
}


@pytest.mark.parametrize("name", GREEDY)
def test_greedy_answers_are_those_of_transformers(name: str, pair: tuple[Engine, Engine]) -> None:
    theirs, ours = (engine.generate(PROMPTS, GREEDY[name], batch_size=3) for engine in pair)
    assert theirs == ours


@pytest.mark.parametrize(("weights", "tie"), [("f16", 0.01), ("bf16", 0.05)])
def test_half_precision_takes_the_same_best_token_but_for_ties(weights: Any, tie: float, tmp_path: Path) -> None:
    """llama.cpp rounds activations as well, so a random model's nearly equal tokens may change places."""
    model, tokenizer = tiny_gguf(tmp_path / "m.gguf", weights=weights), tiny_tokenizer()
    ours = Engine(model, tokenizer, ChatTemplate.load(tokenizer))
    theirs = Engine.open(str(tmp_path / "m.gguf"))
    (answer,), ready = ours.generate(PROMPTS[:1], Sampling(max_new_tokens=40)), ours.prepare(PROMPTS[0], Sampling())
    best = theirs.backend.server.logps(ready.ids + answer.token_ids[:-1], len(ready.ids)).argmax(-1)  # type: ignore[attr-defined]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ready.ids + answer.token_ids[:-1]])).logits[0, len(ready.ids) - 1 :]
    first, second = logits.topk(2).values.T
    clear = (first - second > tie).numpy()
    assert clear.mean() > 0.5
    assert (best == answer.token_ids)[clear].all()


def test_prompts_tokens_and_stops_are_those_of_training(pair: tuple[Engine, Engine]) -> None:
    theirs, ours = pair
    assert theirs.stop_ids == ours.stop_ids == [2, 0]
    assert theirs.context == ours.context == 512
    assert theirs.template.hash == ours.template.hash
    for prompt in PROMPTS:
        assert theirs.prepare(prompt, SAMPLED) == ours.prepare(prompt, SAMPLED)


def test_a_sampled_answer_depends_on_its_seed_alone(engine: Engine) -> None:
    together = engine.generate(PROMPTS, SAMPLED, batch_size=4)
    assert together == [engine.generate([prompt], SAMPLED, numbers=[i])[0] for i, prompt in enumerate(PROMPTS)]
    assert together != engine.generate(PROMPTS, Sampling(max_new_tokens=30, temperature=0.9, seed=4))
    several = engine.complete([[5, 6, 7]], SAMPLED, n=3)[0]
    assert len({tuple(row) for row in several}) == 3
    assert several == [engine.complete([[5, 6, 7]], SAMPLED, first_index=i)[0][0] for i in range(3)]


def test_tokens_are_drawn_with_their_probabilities(pair: tuple[Engine, Engine]) -> None:
    """First tokens of 400 answers: frequencies within five standard errors, none outside the kept share."""
    theirs, ours = pair
    prompt = theirs.prepare(PROMPTS[0], Sampling(max_new_tokens=1)).ids
    sampling = Sampling(max_new_tokens=1, temperature=0.5, top_k=20, top_p=0.8)
    drawn = [row[0] for row in theirs.complete([prompt], sampling, n=400, batch_size=8)[0]]
    with torch.no_grad():
        logits = ours.model(input_ids=torch.tensor([prompt])).logits[0, -1] / 0.5  # type: ignore[misc]
    best = logits.topk(20)
    shares = torch.softmax(best.values, -1)
    kept = shares.cumsum(-1) - shares < 0.8
    expected = dict(zip(best.indices[kept].tolist(), (shares[kept] / shares[kept].sum()).tolist()))
    assert set(drawn) <= set(expected)
    for token, share in expected.items():
        assert abs(drawn.count(token) / 400 - share) < 5 * (share * (1 - share) / 400) ** 0.5


def test_min_p_leaves_what_is_likely_beside_the_likeliest(pair: tuple[Engine, Engine]) -> None:
    theirs, ours = pair
    prompt = theirs.prepare(PROMPTS[0], Sampling(max_new_tokens=1)).ids
    drawn = theirs.complete([prompt], Sampling(max_new_tokens=1, temperature=1.0, min_p=0.6), n=200, batch_size=8)[0]
    with torch.no_grad():
        shares = torch.softmax(ours.model(input_ids=torch.tensor([prompt])).logits[0, -1], -1)  # type: ignore[misc]
    kept = set((shares >= 0.6 * shares.max()).nonzero()[:, 0].tolist())
    assert 1 < len(kept) < 60
    assert {row[0] for row in drawn} <= kept


def test_penalties_that_llamacpp_counts_otherwise_are_refused(engine: Engine) -> None:
    for name in ("frequency_penalty", "presence_penalty"):
        with pytest.raises(ServeError, match=f"{name}: llama.cpp counts tokens of the prompt, too; leave it out"):
            engine.generate(PROMPTS, Sampling(5, **{name: 0.5}))


def test_a_stream_is_the_same_answer(engine: Engine) -> None:
    expected = engine.generate(PROMPTS, SAMPLED)
    for index, prompt in enumerate(PROMPTS):
        pieces: list[str] = []
        assert told(engine.stream(prompt, SAMPLED, index=index), pieces) == expected[index]
        assert "".join(pieces) == expected[index].text


def told(stream: Generator[str, None, Completion], pieces: list[str]) -> Completion:
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as end:
            return end.value


def test_closing_a_stream_frees_the_model_at_once(engine: Engine) -> None:
    before = threading.active_count()
    stream = engine.stream(PROMPTS[0], Sampling(max_new_tokens=400))
    next(stream)
    start = time.perf_counter()
    stream.close()
    assert threading.active_count() == before
    assert len(engine.generate(PROMPTS[:1], Sampling(max_new_tokens=2))) == 1
    assert time.perf_counter() - start < 5


def test_an_answer_ends_at_our_stop_tokens_and_at_no_others(pair: tuple[Engine, Engine]) -> None:
    """llama.cpp ends at the tokens that it takes for the end; 2 and 0 are such, 300 is not."""
    theirs, ours = pair
    prompts, sampling = [[5, 6, 7 + i] for i in range(6)], Sampling(max_new_tokens=40, temperature=1.0)
    plain = theirs.complete(prompts, sampling)
    ended = [row for (row,) in plain if len(row) < 40]
    assert all(row[-1] in (0, 2) for row in ended)
    common = max({t for (row,) in plain for t in row[3:]} - {0, 2}, key=lambda t: sum(t in row for (row,) in plain))
    backend = theirs.backend
    own, backend.stop_ids = backend.stop_ids, [common]
    try:
        for (row,), (other,) in zip(plain, theirs.complete(prompts, sampling)):
            end = row.index(common) + 1 if common in row else len(row)
            assert other[:end] == row[:end]
            if common in row:
                assert other == row[:end]
    finally:
        backend.stop_ids = own
    assert ours.stop_ids == own


def test_end_tokens_of_llama_cpp_that_are_none_of_ours_are_passed(engine: Engine) -> None:
    backend: Any = engine.backend
    settings = Sampling(max_new_tokens=12)
    forced = {"logit_bias": [[2, 1e4]]}
    backend_settings = backend.server.ask
    own, backend.stop_ids = backend.stop_ids, [300]
    try:
        backend.server.ask = lambda *words, **more: backend_settings(*words, **more | forced)
        assert backend.run([[5, 6, 7]], settings, [[1]]) == [[[2] * 12]]
        backend.stop_ids = [2]
        assert backend.run([[5, 6, 7]], settings, [[1]]) == [[[2]]]
    finally:
        backend.stop_ids = own
        del backend.server.ask


def test_room_grows_with_what_is_asked_and_stays(engine: Engine) -> None:
    server: Any = engine.backend.server  # type: ignore[attr-defined]
    assert server.make_room(6, 100) == 6
    before = server._server
    assert server.make_room(2, 400) == 2
    assert server.make_room(6, 510) == 6  # 512 with what llama.cpp leaves empty
    assert server._server is before
    server._total, total = 1024, server._total
    try:
        assert server.make_room(16, 510) == 2
        assert server._server is before
    finally:
        server._total = total
    long = engine.prepare([5] * 500, Sampling(max_new_tokens=12))
    assert len(engine.complete([long.ids], Sampling(max_new_tokens=12, min_new_tokens=12))[0][0]) == 12


def test_what_does_not_fit_is_refused_with_numbers(engine: Engine) -> None:
    with pytest.raises(ServeError, match="context is 512, of which 13"):
        engine.prepare([5] * 500, Sampling(max_new_tokens=13))
    with pytest.raises(ServeError, match=r"refuses a prompt of 2 tokens.*invalid tokens"):
        engine.complete([[5, 999_999]], Sampling(max_new_tokens=2))


def test_an_error_in_one_row_ends_all(engine: Engine) -> None:
    def ends(row: int, token: int) -> bool:
        if row == 1:
            raise RuntimeError("broken")
        return False

    start = time.perf_counter()
    with pytest.raises(RuntimeError, match="broken"):
        engine.backend.run([[5, 6]] * 4, Sampling(max_new_tokens=480), [[1]] * 4, batch_size=2, ends=ends)
    assert time.perf_counter() - start < 10
    assert len(engine.generate(PROMPTS[:1], Sampling(max_new_tokens=2))) == 1


def test_log_probabilities_are_those_of_the_model(pair: tuple[Engine, Engine]) -> None:
    theirs, ours = pair
    ids = theirs.prepare(PROMPTS[1], Sampling()).ids  # half characters among them
    with torch.no_grad():
        logits = ours.model(input_ids=torch.tensor([ids])).logits[0]  # type: ignore[misc]
    found = torch.from_numpy(theirs.backend.server.logps(ids, 5))  # type: ignore[attr-defined]
    torch.testing.assert_close(found, torch.log_softmax(logits[4:], -1), atol=1e-4, rtol=0)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"dtype": "float16"}, "dtype cannot be given with a GGUF file"),
    ({"adapter": "x", "quantization": "int8"}, "adapter, quantization cannot be given"),
    ({"backend": "vllm"}, "leave --backend out"),
]


@pytest.mark.parametrize(("settings", "message"), WRONG)
def test_settings_that_a_file_has_fixed_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ServeError, match=message):
        Engine.open("some.gguf", **settings)


def test_another_model_is_not_given_to_llama_cpp() -> None:
    with pytest.raises(ServeError, match="medicalgpt export gguf --model runs/mine"):
        Engine.open("runs/mine", backend="llamacpp")


def test_files_that_cannot_be_run_are_named(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    tiny_gguf(path)
    data = path.read_bytes()
    path.write_bytes(data[:-100])
    with pytest.raises(MedicalGPTError, match="is cut off"):
        Engine.open(str(path))
    path.write_bytes(data.replace(b"blk.1.attn_q.weight", b"blk.1.attn_z.weight"))
    with pytest.raises(ServeError, match=r"llama\.cpp cannot load .*m\.gguf"):
        Engine.open(str(path))


def test_without_the_bindings_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_gguf(tmp_path / "m.gguf")
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(ServeError, match=r"pip install 'medicalgpt\[llamacpp\]'"):
        Engine.open(str(tmp_path / "m.gguf"))


def test_nothing_of_the_prompt_is_printed_and_no_port_is_open(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tiny_gguf(tmp_path / "m.gguf")
    engine = Engine.open(str(tmp_path / "m.gguf"))
    engine.generate(PROMPTS, Sampling(max_new_tokens=4))
    assert capfd.readouterr() == ("", "")
    address = engine.backend.server._server.listening_address  # type: ignore[attr-defined]
    if sys.platform != "win32":
        assert address.startswith("unix://")
        assert not Path(address.removeprefix("unix://")).exists()


def test_the_command_answers_with_a_file(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from medicalgpt.cli import app

    tiny_gguf(tmp_path / "m.gguf", weights="q8_0")
    shutil.copy(tmp_path / "m.gguf", tmp_path / "copy.GGUF")
    for path in ("m.gguf", "copy.GGUF"):
        words = ["chat", "--model", str(tmp_path / path), "--max-new-tokens", "4", "--seed", "1"]
        result = CliRunner().invoke(app, words, input="What is a fever?\n")
        assert result.exit_code == 0, result.output
        assert "cut off after 4 tokens" in result.stdout
