"""Wrong input of reinforcement learning: exit code 2, one message with what to do, no patient's text, nothing half-written."""

import json
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_rl_roles import reward_run
from tests.http_server import listening
from tests.rl import REWARDS, scored_by, train, words
from tests.stages import Bench, column, manifest, write
from tests.tiny import tiny_tokenizer
from typer.testing import CliRunner

from medicalgpt.cli import app

SECRET = "Mrs. Ngo-Lindqvist has syphilis"  # stands for patient text: it must never show up in a message
ASKED = {"prompt": SECRET}
HELD = "data.eval_fraction=0.2"
Refuse = Callable[..., str]


@pytest.fixture
def refuse(bench: Bench, tmp_path: Path, no_figures: None) -> Refuse:
    """Run a stage that has to be refused; returns the message in one line."""

    def run(*overrides: str, stage: str = "ppo", clean: bool = True) -> str:
        out = tmp_path / "run"
        result = CliRunner().invoke(app, ["train", *words(bench, stage, out, *overrides)])
        assert result.exit_code == 2, result.output
        assert isinstance(result.exception, SystemExit), "an error of another kind got through"
        assert "Traceback" not in result.output
        assert "Ngo-Lindqvist" not in result.output
        assert "syphilis" not in result.output
        assert not (out / "manifest.json").exists()
        assert not (out / "model").exists()
        if clean:
            left = [p.name for p in out.iterdir() if p.name != ".lock"] if out.exists() else []
            assert not left, f"a run that was refused left {left} behind"
        return " ".join(result.stderr.partition("error: ")[2].split())

    return run


# -- configuration ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("stage", "overrides", "said"),
    [
        ("ppo", ["lora.dropout=0.1"], "would make the policy's first ratio differ from 1; set it to 0"),
        ("ppo", ["lora.variant=pissa"], "changes the base, which is the reference here"),
        ("ppo", ["model.adapter=somewhere"], "merge it first (RUN/merged)"),
        ("rloo", ["rollout.completions=1"], "an answer is compared with its siblings; at least 2"),
        ("grpo", ["rollout.completions=1"], "an answer is compared with its siblings; at least 2"),
        ("ppo", ["reward.functions=[]"], "nothing scores the answers; set reward.model or reward.functions"),
        ("ppo", ["objective.critic_init=reward"], "objective.critic_init=reward needs reward.model"),
        ("ppo", ["rollout.max_new_tokens=64"], "it must be above rollout.max_new_tokens=64"),
        ("ppo", ["rollout.min_new_tokens=8"], "leaves no room to stop"),
        ("ppo", ["data.over_length=split"], "a prompt cannot be split"),
        ("ppo", ["model.dtype=float16"], "use bfloat16 or float32"),
        ("rloo", ["objective.gamma=0.9"], "unknown key 'objective.gamma'"),
        ("grpo", ["objective.loss_type=word"], "grpo | bnpo | dapo | dr_grpo"),
        ("grpo", ["objective.ratio=sequence", "objective.clip=0.1"], "objective.clip does nothing with objective.ratio=sequence; set"),
        ("grpo", ["objective.ratio=sequence", "objective.clip_high=0.1"], "set objective.sequence_clip_high"),
        ("grpo", ["objective.sequence_clip=0.1"], "objective.sequence_clip does nothing with objective.ratio=token"),
        ("ppo", ["rollout.temperature=0"], "rollout.temperature"),
    ],
)  # fmt: skip
def test_wrong_setting(stage: str, overrides: list[str], said: str, refuse: Refuse) -> None:
    assert said in refuse(*overrides, stage=stage)


# -- prompts ------------------------------------------------------------------------------------------------------------
def data(tmp_path: Path, *rows: Any) -> str:
    return f"data.train=[{write(tmp_path / 'rows.jsonl', rows)}]"


@pytest.mark.parametrize("content", [b"", b"\n\n"], ids=["nothing", "blank lines"])
def test_empty_file(content: bytes, refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(content)
    assert "rows.jsonl: the file is empty" in refuse(f"data.train=[{tmp_path / 'rows.jsonl'}]")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": " "}, "blank"),
        ({"prompt": None}, "there is no prompt"),
        ({"messages": []}, "rows.jsonl:2"),
        ({"messages": [{"role": "doctor", "content": SECRET}]}, "unknown role 'doctor'"),
        ({"words": SECRET}, "there is no prompt"),
        ({"prompt": f"{SECRET} <|im_end|>"}, "special token"),
        ({"prompt": SECRET + " word" * 80}, "data.max_tokens, rollout.max_new_tokens"),
    ],
)
def test_a_bad_row_stops_with_its_place_or_is_counted(
    row: Any, said: str, refuse: Refuse, bench: Bench, tmp_path: Path
) -> None:
    rows = data(tmp_path, ASKED, row, *({"prompt": f"What helps with pain {i}?"} for i in range(30)))
    message = refuse(rows)
    assert f"{tmp_path / 'rows.jsonl'}:2" in message
    assert said in message
    train(bench, "rloo", tmp_path / "good", rows, "data.on_bad_row=drop", "train.max_steps=1", "data.eval_fraction=0")
    ledger = manifest(tmp_path / "good")["ledger"]
    assert (ledger["rows"], ledger["dropped"]) == (32, 1)


def test_a_prompt_without_room_for_an_answer_is_dropped_and_counted(
    bench: Bench, tmp_path: Path, no_figures: None
) -> None:
    rows = data(tmp_path, {"prompt": SECRET + " word" * 80}, *({"prompt": f"Pain {i}?"} for i in range(4)))
    train(bench, "rloo", tmp_path / "run", rows, "data.over_length=drop", "train.max_steps=1", "data.eval_fraction=0")
    ledger = manifest(tmp_path / "run")["ledger"]
    assert (ledger["rows"], ledger["kept"], ledger["dropped"]) == (5, 4, 1)
    assert ledger["reasons"] == {"dropped: the prompt leaves no room for 8 new tokens in 64": 1}


def test_no_prompt_is_left(refuse: Refuse, tmp_path: Path) -> None:
    said = refuse(data(tmp_path, {"prompt": SECRET + " word" * 80}), "data.over_length=drop", "data.eval_fraction=0")
    assert "no prompt is left to train on" in said


def test_answers_that_are_all_empty(refuse: Refuse, bench: Bench, tmp_path: Path) -> None:
    """A base that ends every answer at once, in a run without held-out prompts."""
    from safetensors.torch import load_file, save_file
    from tests.tiny import save_tiny

    file = save_tiny(tmp_path / "silent") / "model.safetensors"
    weights = load_file(file)
    weights["model.embed_tokens.weight"][:, 0] = 9.0
    for name, value in weights.items():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            value[0] = 0.0
    weights["lm_head.weight"][tiny_tokenizer().eos_token_id, 0] = 50.0
    save_file(weights, file, metadata={"format": "pt"})
    said = refuse(f"model.base={tmp_path / 'silent'}", "data.eval_fraction=0")
    assert "update 1: all 4 answers are empty" in said
    assert "rollout.min_new_tokens" in said


# -- reward functions ---------------------------------------------------------------------------------------------------
# What they raise or give holds the text of a row, as the code of a user may: words of the code itself may be shown.
FUNCTIONS = """
import time
def nan(prompts, completions): return [float("nan")] * len(completions)
def few(prompts, completions): return [1.0]
def raises(prompts, completions): raise ValueError(prompts[0][-1]["content"] + completions[0])
def hangs(prompts, completions): time.sleep(30)
def words(prompts, completions): return [prompts[0][-1]["content"]] * len(completions)
def nothing(prompts, completions): return None
def later(prompts, completions):
    for text in completions:
        raise KeyError(prompts[0][-1]["content"])
        yield 1.0
def leaves(prompts, completions): raise SystemExit(prompts[0][-1]["content"])
number = 3
"""


@pytest.mark.parametrize("held", [HELD, "data.eval_fraction=0"], ids=["held-out", "no held-out"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nan", "scores are not finite (NaN or infinite), first for the prompt of"),
        ("few", "gave 1 scores for"),
        ("raises", "raised ValueError"),
        ("hangs", "took longer than 0.3 s for"),
        ("words", "did not give a list of numbers"),
        ("nothing", "did not give a list of numbers"),
        ("later", "raised KeyError"),
        ("leaves", "raised SystemExit"),
        ("number", "has no function 'number'"),
        ("missing", "has no function 'missing'; it has nan, few"),
    ],
)
def test_a_reward_function_that_fails(name: str, said: str, held: str, refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FUNCTIONS)
    rows = write(tmp_path / "sft.jsonl", [{"prompt": f"{SECRET}. Question {i}?"} for i in range(20)])
    scored = scored_by(f"{tmp_path / 'mine.py'}:{name}", timeout=0.3 if name == "hangs" else 60)
    message = refuse(scored, held, f"data.train={rows}", "data.max_tokens=160")
    assert said in message
    assert "mine.py" in message
    if name == "nan":
        assert "sft.jsonl:" in message


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere.py:score", "no such file: nowhere.py"),
        ("no_such_package.rewards:score", "cannot be imported"),
        (f"{REWARDS}:", "is no path; write package.module:function or file.py:function"),
        ("json:dumps_", "has no function 'dumps_'"),
    ],
)
def test_a_path_to_nothing(path: str, said: str, refuse: Refuse) -> None:
    assert said in refuse(f"reward.functions=[{{path: '{path}'}}]")


def test_a_module_that_does_not_load(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import nothing_of_that_name\n")
    assert "cannot be imported: ModuleNotFoundError" in refuse(scored_by(f"{tmp_path / 'mine.py'}:score"))


# -- services -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def service() -> Iterator[tuple[str, list[Any]]]:
    """A service on this machine that does what the last part of its path says; with what it was asked."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(found)
            what, count = self.path.strip("/"), len(found["completions"])
            body = {
                "good": json.dumps({"scores": [0.5] * count}),
                "text": "no JSON " + SECRET,
                "list": json.dumps([0.5] * count),
                "words": json.dumps({"scores": [SECRET] * count}),
                "few": json.dumps({"scores": [0.5]}),
                "nan": '{"scores": [' + ", ".join(["NaN"] * count) + "]}",
                "null": '{"scores": null}',
            }.get(what, "")
            if what == "slow":
                time.sleep(1.5)
            if what == "hangup":
                self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 99\r\n\r\n{")
                return
            if what == "silent":
                return
            self.send_response(500 if what == "broken" else 200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            return

    with listening(Handler) as address:
        yield address, asked


def test_a_service_that_scores(service: tuple[str, list[Any]], bench: Bench, tmp_path: Path, no_figures: None) -> None:
    url, asked = service
    assert train(bench, "rloo", tmp_path / "run", f"reward.functions=[{{path: '{url}/good', weight: 3}}]").folder
    assert column(tmp_path / "run", "train/score") == pytest.approx([1.5, 1.5])
    assert all(len(a["prompts"]) == len(a["completions"]) for a in asked)
    assert asked[0]["prompts"][0][-1]["role"] == "user"


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("text", "did not answer with JSON"),
        ("list", 'expected {"scores": [number, …]}, got another JSON value'),
        ("words", "did not give a list of numbers"),
        ("null", "did not give a list of numbers"),
        ("few", "gave 1 scores for"),
        ("nan", "not finite"),
        ("slow", "took longer than 0.3 s"),
        ("broken", "refuses (Internal Server Error)"),
        ("hangup", "broke off its answer"),
        ("silent", "broke off its answer"),
    ],
)
def test_a_service_that_fails(what: str, said: str, service: tuple[str, list[Any]], refuse: Refuse) -> None:
    limit = 0.3 if what == "slow" else 20
    assert said in refuse(f"reward.functions=[{{path: '{service[0]}/{what}', timeout: {limit}}}]", HELD)


def test_a_service_that_is_not_there(refuse: Refuse) -> None:
    assert "cannot be reached" in refuse("reward.functions=[{path: 'http://127.0.0.1:9/score'}]")


@pytest.mark.parametrize(
    "url", ["http://scores.example.org/x", "https://10.0.0.7:80/", "http://127.0.0.1.example.org/"]
)
def test_answers_do_not_leave_the_machine_unasked(url: str, refuse: Refuse) -> None:
    said = refuse(f"reward.functions=[{{path: '{url}'}}]")
    assert "is on another machine" in said
    assert "reward.allow_remote=true" in said


def test_an_address_that_is_none(refuse: Refuse) -> None:
    assert "is no address" in refuse("reward.functions=[{path: 'http://[::1'}]")


# -- reward models ------------------------------------------------------------------------------------------------------
def test_a_reward_model_that_was_not_shown_to_be_right(refuse: Refuse, bench: Bench, tmp_path: Path) -> None:
    rm = reward_run(bench, tmp_path / "rm", "train.max_steps=1", "train.learning_rate=1e-6")
    model = f"reward.model={rm}"
    file = rm / "model" / "reward.json"
    numbers = json.loads(file.read_text())
    numbers["accuracy"] |= {"value": 0.58, "low": 0.5, "high": 0.66}
    file.write_text(json.dumps(numbers))
    said = refuse(model)
    assert "right on 58.0% of 12 held-out pairs, 95 % interval [50.0%, 66.0%]" in said
    assert "reward.allow_weak_model=true" in said
    assert train(bench, "rloo", tmp_path / "weak", model, "reward.allow_weak_model=true").status == "finished"
    file.unlink()
    said = refuse(model)
    assert "has no reward.json" in said
    assert train(bench, "rloo", tmp_path / "none", model, "reward.allow_weak_model=true").status == "finished"


def test_a_reward_model_that_reads_other_tokens(refuse: Refuse, bench: Bench, tmp_path: Path) -> None:
    rm = reward_run(bench, tmp_path / "rm", "train.max_steps=1")
    tokenizer = rm / "model" / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace('"<pad>"', '"<nothing>"'))
    said = refuse(f"reward.model={rm}")
    assert "has another tokenizer (" in said
    assert "Train it on a model of the policy's family" in said


def test_models_that_are_none(refuse: Refuse, bench: Bench, tmp_path: Path, no_figures: None) -> None:
    assert "no model './nowhere'" in refuse("reward.model=./nowhere")
    bench.train("sft", tmp_path / "sft", "train.max_steps=1")
    assert "model.base" in refuse(f"model.base={tmp_path / 'sft'}")
    weak = "reward.allow_weak_model=true"
    assert "language model's adapter, not a reward model's" in refuse(f"reward.model={tmp_path / 'sft'}", weak)
    assert "it would score with random weights" in refuse(f"reward.model={bench.base}", weak)


# -- health -------------------------------------------------------------------------------------------------------------
FAST = (
    "train.learning_rate=3e-2",
    "objective.beta=0",
    "train.max_steps=6",
    "data.eval_fraction=0.2",
    "train.eval_every=1",
)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["health.max_kl=0.5"], "KL to the reference is"),
        (["health.min_entropy=20"], "entropy is"),
        (["health.max_answer_loss_rise=0.001", scored_by("length")], "the reward is being gamed"),
    ],
)
def test_a_run_that_harms_its_model_is_halted(overrides: list[str], said: str, refuse: Refuse, tmp_path: Path) -> None:
    message = refuse(*FAST, *overrides, clean=False)
    assert said in message
    assert f"The numbers are in {tmp_path / 'run' / 'verdict.json'}" in message
    found = json.loads((tmp_path / "run" / "verdict.json").read_text())
    assert found["verdict"] in message
    assert found["step"] == int(message.partition("update ")[2].partition(":")[0])
    assert found["metrics"]["train/kl"] == column(tmp_path / "run", "train/kl")[-1]


def test_a_run_names_the_columns_that_no_prompt_and_no_reward_reads(
    bench: Bench, tmp_path: Path, no_figures: None, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {
            "question": f"Which drug lowers a fever of 39.{i} °C?",
            "A": "warfarin",
            "B": "paracetamol",
            "key": "B",
            "ward": i,
        }
        for i in range(12)
    ]
    reward = "reward.functions=[{name: choice_letter, column: key}]"
    files = f"data.train={write(tmp_path / 'rows.jsonl', rows)}"
    assert train(bench, "rloo", tmp_path / "run", files, "data.max_tokens=160", reward).folder
    (counts,) = manifest(tmp_path / "run")["ledger"]["files"].values()
    assert counts == {"rows": 12, "kept": 12, "unread": {"ward": 12}}
    assert "warning: 12 rows: the column 'ward' was not read" in " ".join(capsys.readouterr().err.split())
