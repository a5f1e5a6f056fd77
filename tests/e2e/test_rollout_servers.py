"""Answers drawn by servers: the protocol, the proof that they use the adapter, and what happens when they do not."""

import re
from pathlib import Path

import pytest
from tests.e2e.test_rl_resume import lines
from tests.ranks import Job, run
from tests.rl import dies_in_the_third_update, train, words
from tests.stages import Bench
from tests.vllm_server import serving

from medicalgpt.errors import ConfigError, MedicalGPTError

LEARNS = ("train.learning_rate=0.01", "train.max_steps=3", "data.eval_fraction=0.2", "objective.beta=0")


def asks(*urls: str) -> tuple[str, ...]:
    return "rollout.backend=vllm", f"rollout.servers=[{', '.join(urls)}]"


@pytest.mark.parametrize("stage", ["grpo", "ppo"])
def test_a_run_whose_answers_servers_draw(stage: str, bench: Bench, tmp_path: Path, no_figures: None) -> None:
    options = LEARNS if stage == "grpo" else LEARNS[:-1]
    with serving(bench.base) as one, serving(bench.base) as two:
        train(bench, stage, tmp_path / "run", *options, *asks(one.url, two.url))
        found = [line for line in lines(tmp_path / "run") if "train/score" in line]
        # The stand-in computes in float32 as the trained model does: what is left is rounding.
        assert len(found) == 3
        assert all(line["train/logprob_gap"] < 1e-5 for line in found)
        assert all(line["train/logprob_gap_p99"] >= line["train/logprob_gap"] for line in found)
        # One adapter for the proof and one for each state of the weights; only the last is kept, on servers and disk.
        tokens = {name.rpartition("-")[0] for name in one.names}
        assert [name.rpartition("-")[2] for name in one.names] == ["proof", "0", "1", "2", "3"]
        assert len(tokens) == 1
        assert one.names == two.names
        assert list(one.loaded) == list(two.loaded) == one.names[-1:]
        assert [p.name for p in (tmp_path / "run" / "rollout").iterdir()] == one.names[-1:]
        # Both are asked, each for its share; tokens, not texts, and with the run's own stop tokens.
        assert abs(len(one.requests) - len(two.requests)) <= 5
        assert min(len(one.requests), len(two.requests)) > 8
        assert all(r["ignore_eos"] and r["stop_token_ids"] and r["return_token_ids"] for r in one.requests[1:])
    train(bench, stage, tmp_path / "own", *options)
    first, own = (next(line for line in lines(tmp_path / name) if "eval/score" in line) for name in ("run", "own"))
    # Greedy answers before the first update depend on nothing that is drawn.
    assert first["eval/score"] == pytest.approx(own["eval/score"], abs=1e-6)
    assert first["eval/length"] == own["eval/length"]


@pytest.mark.slow
def test_servers_draw_for_a_policy_of_which_each_process_holds_a_part(bench: Bench, tmp_path: Path) -> None:
    """Three servers for two processes: one proves two of them, the other one, in equally many passes."""
    with serving(bench.base) as one, serving(bench.base) as two, serving(bench.base) as three:
        options = ("train.max_steps=2", "distributed.shard=full", *asks(one.url, two.url, three.url))
        order = words(bench, "ppo", tmp_path / "run", *LEARNS[:1], LEARNS[2], *options)
        done = run([Job("divided", 2, order, wide=False)])["divided"]
        assert done.codes == [0, 0], done.said
        assert "sharded: each process holds 1/2 of it" in done.said[0]
        assert [name.rpartition("-")[2] for name in one.names] == ["proof", "0", "1", "2"]
    found = [line["train/logprob_gap"] for line in lines(tmp_path / "run") if "train/logprob_gap" in line]
    assert len(found) == 2
    assert max(found) < 1e-5, "what servers draw from is the whole adapter"


def test_weights_that_were_learned_arrive(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    """The same answers scored under every state of the weights differ: what servers draw from is not always the base."""
    with serving(bench.base) as server:
        train(bench, "grpo", tmp_path / "run", *LEARNS, *asks(server.url))
    found = [line["train/kl"] for line in lines(tmp_path / "run") if "train/kl" in line]
    assert found[0] == pytest.approx(0, abs=1e-4)
    assert abs(found[2]) > 1e-2


def test_a_server_that_ignores_the_adapter_is_found_before_the_first_update(
    bench: Bench, tmp_path: Path, no_figures: None
) -> None:
    with (
        serving(bench.base) as good,
        serving(bench.base, "ignores_adapter") as bad,
        pytest.raises(MedicalGPTError, match="not come from the adapter") as caught,
    ):
        train(bench, "grpo", tmp_path / "run", *LEARNS, *asks(good.url, bad.url))
    assert bad.url in str(caught.value)
    assert good.url not in str(caught.value)
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_a_server_that_stays_behind_stops_the_run(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    with (
        serving(bench.base, "keeps_second") as server,
        pytest.raises(MedicalGPTError, match="the answers come from another model"),
    ):
        train(bench, "grpo", tmp_path / "run", *LEARNS, *asks(server.url), "health.max_logprob_gap=0.01")
    gaps = [line["train/logprob_gap"] for line in lines(tmp_path / "run") if "train/logprob_gap" in line]
    assert gaps[0] < 1e-5
    assert gaps[-1] > 0.01


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("no_lora", "VLLM_ALLOW_RUNTIME_LORA_UPDATING"),
        (
            "no_adapters",
            "please check the stack trace above for the root cause) for load_lora_adapter; start it with --enable-lora",
        ),
        ("elsewhere", "must see the folder under the same path (rollout.adapter_dir)"),
        ("keyed", "refuses (Unauthorized) for load_lora_adapter; start it without --api-key, as a run sends no key"),
        ("dies", "refuses (Internal Server Error); is it up? Its log may say more. Earlier checkpoints are intact"),
        ("short", "tokens of prompt and answer: start it with a larger --max-model-len"),
        ("restarted", "it does not have the adapter any more, as after a new start of it: the same command goes on"),
        ("no_ids", "without token ids"),
        ("half", "without token ids"),
    ],
)
def test_what_a_faulty_server_ends_with(fault: str, said: str, bench: Bench, tmp_path: Path, no_figures: None) -> None:
    with serving(bench.base, fault) as server, pytest.raises(MedicalGPTError, match=re.escape(said)) as caught:
        train(bench, "grpo", tmp_path / "run", *LEARNS, *asks(server.url))
    assert server.url in str(caught.value)
    assert "you requested" not in str(caught.value), "a server's own words may repeat a prompt"


def test_nobody_there(bench: Bench, tmp_path: Path, no_figures: None) -> None:
    with pytest.raises(MedicalGPTError, match="cannot be reached"):
        train(bench, "grpo", tmp_path / "run", *LEARNS, *asks("http://127.0.0.1:9"))


def test_a_run_that_died_goes_on_with_other_servers(
    bench: Bench, tmp_path: Path, no_figures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = (*LEARNS, "train.save_every=2")
    with serving(bench.base) as straight:
        train(bench, "grpo", tmp_path / "straight", *options, *asks(straight.url))
    with serving(bench.base) as first:
        with dies_in_the_third_update(monkeypatch):
            train(bench, "grpo", tmp_path / "run", *options, *asks(first.url))
        with serving(bench.base) as second:
            train(bench, "grpo", tmp_path / "run", *options, *asks(second.url))
            assert [name.rpartition("-")[2] for name in second.names] == ["proof", "2", "3"]
    scores = [
        [line["train/score"] for line in lines(tmp_path / n) if "train/score" in line] for n in ("run", "straight")
    ]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("rollout.backend=vllm",), "needs rollout.servers"),
        (("rollout.servers=[http://127.0.0.1:1]",), "does nothing without rollout.backend=vllm"),
        (("rollout.timeout=5",), "does nothing without rollout.backend=vllm"),
        ((*asks("http://127.0.0.1:1", "http://127.0.0.1:1"),), "twice"),
        ((*asks("http://127.0.0.1:1"), "lora.enabled=false"), "LoRA adapters only"),
        ((*asks("http://10.1.2.3:8000"),), "rollout.allow_remote=true"),
        ((*asks("http://user:secret@127.0.0.1:1"),), "password"),
    ],
)
def test_settings_that_cannot_work(
    words: tuple[str, ...], said: str, bench: Bench, tmp_path: Path, no_figures: None
) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        train(bench, "grpo", tmp_path / "run", *words)
