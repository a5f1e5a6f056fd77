"""What the page shows, says and saves."""

import hashlib
import json
import os
import re
import socket
from dataclasses import asdict, replace
from html import escape
from pathlib import Path
from typing import Any

import pytest

from medicalgpt.config.emergency import REGIONS
from medicalgpt.data.ledger import Ledger
from medicalgpt.data.reader import read
from medicalgpt.data.records import Message
from medicalgpt.errors import ServeError
from medicalgpt.models.embedded.registry import EMBEDDED
from medicalgpt.serve.web import export
from medicalgpt.serve.web.conversation import Conversation, WebAnswer, WebExchange
from medicalgpt.serve.web.events import Events
from medicalgpt.serve.web.info import ModelInfo, describe, table
from medicalgpt.serve.web.launch import Place, _context, _with_room, _without_proxy, check, warnings
from medicalgpt.serve.web.page import Offer, build
from medicalgpt.serve.web.settings import Settings, read_seed
from medicalgpt.serve.web.shield import allowed
from medicalgpt.serve.web.simplified import SIMPLIFIED
from medicalgpt.serve.web.texts import CHINESE, ENGLISH, other, preferred, with_emergency
from medicalgpt.serve.web.view import as_typed, harmless, messages, parts, ratings, version
from medicalgpt.training.publish import with_intervals

PROMPT = (Message("system", "Be brief."), Message("user", "q"))


def talk(*answers: str) -> Conversation:
    given = [WebAnswer(PROMPT, text, "stop") for text in answers]
    return Conversation([WebExchange("q", given, len(given) - 1)])


# -- words --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("chinese", [CHINESE, SIMPLIFIED])
def test_all_languages_say_the_same_with_the_same_numbers(chinese: Any) -> None:
    english, translated = asdict(ENGLISH), asdict(chinese)
    for name, text in english.items():
        if isinstance(text, str):
            assert text, name
            assert translated[name], name
            assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", translated[name])), name
    for name in ("metrics", "meanings"):
        assert english[name].keys() == translated[name].keys()
    assert len(english["examples"]) == len(translated["examples"])
    assert not re.search(
        "[\u4e00-\u9fff]", "".join(t for n, t in english.items() if isinstance(t, str) and n != "other_language")
    )


def test_simplified_text_has_no_traditional_characters_and_the_other_way_round() -> None:
    """Of characters that differ, a handful that the page needs."""
    words = {
        t.language: "".join(str(v) for n, v in asdict(t).items() if n != "other_language")
        for t in (CHINESE, SIMPLIFIED)
    }
    traditional, simplified = "這個問題模型設輸資與學華臺灣歐", "这个问题设输资与学华台湾欧"
    assert not set(words["zh-CN"]) & (set(traditional) - set(simplified) - set("模型"))
    assert not set(words["zh-TW"]) & (set(simplified) - set(traditional) - set("台"))


@pytest.mark.parametrize(
    ("header", "texts"),
    [
        ("zh-TW,zh;q=0.9,en;q=0.8", CHINESE),
        ("en-US,en;q=0.9,zh;q=0.1", ENGLISH),
        ("fr-FR,zh-CN;q=0.5", SIMPLIFIED),
        ("zh-Hans-SG,en;q=0.5", SIMPLIFIED),
        ("zh-HK,zh;q=0.9", CHINESE),
        ("zh-Hant-MO", CHINESE),
        ("fr", ENGLISH),
        ("", ENGLISH),
    ],
)
def test_the_browser_chooses_the_language(header: str, texts: Any) -> None:
    assert preferred(header) is texts
    assert other(other(other(texts))) is texts
    assert len({t.language for t in (texts, other(texts), other(other(texts)))}) == 3
    assert texts.other_language == {"en": "简体中文", "zh-CN": "繁體中文", "zh-TW": "English"}[texts.language]


@pytest.mark.parametrize("texts", [ENGLISH, CHINESE, SIMPLIFIED])
def test_a_chosen_region_is_in_the_disclaimer_and_nothing_else_changes(texts: Any) -> None:
    chosen = with_emergency(texts, REGIONS["MO"])
    assert REGIONS["MO"].names[texts.language] in chosen.disclaimer
    assert "120" not in chosen.disclaimer
    assert asdict(chosen) | {"disclaimer": ""} == asdict(texts) | {"disclaimer": ""}
    assert with_emergency(chosen, None) is texts
    assert other(chosen) is other(texts)


@pytest.mark.parametrize(("typed", "seed"), [("", None), (None, None), ("  ", None), ("0", 0), (" 42 ", 42)])
def test_an_empty_seed_is_none_and_not_0(typed: Any, seed: Any) -> None:
    assert read_seed(typed) == seed


@pytest.mark.parametrize("typed", ["-1", "1.5", "abc", "１２", "9" * 30])
def test_a_seed_that_is_none_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="no seed"):
        read_seed(typed)


# -- what is shown ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["K<b> 3", "<script>alert(1)</script>", "a <!-- b", "1 < 2 <3", "</p><img src=x>"])
def test_no_text_can_begin_a_tag(text: str) -> None:
    assert not re.search(r"<[A-Za-z/!?]", harmless(text))
    assert as_typed(harmless(text)) == text


def test_thoughts_are_apart_from_the_answer() -> None:
    assert parts("<think>\nfirst\n</think>\n\nThen.") == ("first", "Then.", True)
    assert parts("<think>going on") == ("going on", "", False)
    assert parts("No <think> here") == ("", "No <think> here", True)
    conversation = talk("<think>hm</think>yes")
    shown, owners = messages(conversation, ENGLISH)
    assert [m["content"][0]["text"] for m in shown] == ["q", "hm", "yes"]
    assert shown[1]["metadata"] == {"title": "Reasoning", "status": "done"}
    assert owners == [0, 0, 0]
    assert len(ratings(conversation)) == 1


def test_messages_know_their_exchange_and_its_rating() -> None:
    conversation = Conversation(
        [*talk("one", "two").exchanges, WebExchange("r", [WebAnswer(PROMPT, "three")]), WebExchange("s")]
    )
    conversation.exchanges[0].answers[1].rating = False
    shown, owners = messages(conversation, ENGLISH)
    assert [(m["role"], m["content"][0]["text"]) for m in shown] == [
        ("user", "q"),
        ("assistant", "two"),
        ("user", "r"),
        ("assistant", "three"),
        ("user", "s"),
    ]
    assert owners == [0, 0, 1, 1, 2]
    assert ratings(conversation) == ["Dislike", None]


def test_every_answer_names_its_model_and_version_as_plain_text() -> None:
    conversation = talk("<think>hm</think>yes")
    answer = conversation.exchanges[0].answers[0]
    answer.model, answer.version = "a`*b*`<img src=x>\n# c", "3fa9c1d20b7e"
    shown, owners = messages(conversation, ENGLISH)
    assert [part["text"] for part in shown[2]["content"]] == ["yes", "`a'*b*'<img src=x> # c · 3fa9c1d20b7e`"]  # type: ignore[attr-defined]
    assert owners == [0, 0, 0]
    assert "`a'*b*'<img src=x> # c · 3fa9c1d20b7e`" in export.markdown(conversation, ENGLISH)
    (facts,) = json.loads(export.as_json(conversation, {}, ENGLISH))["answers"]
    assert facts["version"] == "3fa9c1d20b7e"


def test_the_number_of_the_answer_is_shown_where_there_are_several() -> None:
    assert version(talk("one"), ENGLISH) == ""
    assert version(talk("one", "two"), ENGLISH) == "Answer 2 of 2"


# -- files --------------------------------------------------------------------------------------------------------------
def test_an_exported_conversation_is_a_dialogue_that_training_reads(tmp_path: Path) -> None:
    info = describe("smollm2-135m", None, {}, 8192, "smollm")
    path = tmp_path / export.file_name("json")
    path.write_text(export.as_json(talk("one", "兩"), {info.name: info}, CHINESE), encoding="utf-8")
    (dialogue,) = read([path], "dialogue", ledger=Ledger())
    assert [(m.role, m.content) for m in dialogue.messages] == [  # type: ignore[union-attr]
        ("system", "Be brief."),
        ("user", "q"),
        ("assistant", "兩"),
    ]
    whole = json.loads(path.read_text(encoding="utf-8"))
    assert whole["models"]["smollm2-135m"]["name"] == "smollm2-135m"
    assert whole["disclaimer"] == CHINESE.disclaimer
    assert whole["answers"][0]["complete"] is True


def test_markdown_has_everything_in_order() -> None:
    text = export.markdown(talk("the answer"), ENGLISH)
    order = [ENGLISH.disclaimer, "Be brief.", "## Question", "q", "## Answer", "the answer"]
    places = [text.index(part) for part in order[:2]]
    assert places == sorted(places)
    assert text.endswith("## Question\n\nq\n\n## Answer\n\nthe answer\n")
    assert "system" not in export.markdown(Conversation(), ENGLISH).lower()


# -- about the model ----------------------------------------------------------------------------------------------------
def _run(folder: Path, **values: Any) -> Path:
    from medicalgpt.runs import manifest

    zero = "0" * 64
    (folder / "model").mkdir(parents=True)
    record = manifest.Manifest(
        **{
            "config_key": "k",
            "hashes": manifest.Hashes(data=zero, tokenizer=zero, base=zero, code=zero),
            "versions": {},
            "seed": 1,
            "device": "cpu",
            "world_size": 1,
            "ledger": {},
            "seconds": 1.0,
            "tokens": 1,
            "files": {},
            **values,
        }
    )
    manifest.write(folder, record)
    return folder


def test_a_chain_of_runs_is_told_down_to_its_base(tmp_path: Path) -> None:
    first = _run(tmp_path / "sft", stage="sft", base="smollm2-135m")
    numbers = {
        "eval/loss": 0.5,
        "eval/rewards/accuracy": 0.778,
        "eval/score": 0.6,
        "eval/score_low": 0.4,
        "eval/score_high": 0.8,
    }
    second = _run(tmp_path / "dpo", stage="dpo", base=str(first / "merged"), before={"eval/loss": 0.693}, after=numbers)
    info = describe(str(second), None, {"places": [str(second / "model")], "dtype": "torch.float32"}, 512, "chatml")
    assert info.stages == ("sft", "dpo")
    assert (info.name, info.base, info.license, info.weights) == ("dpo", "smollm2-135m", "Apache-2.0", "float32")
    assert info.numbers == (
        ("loss", "0.693", "0.500"),
        ("rewards/accuracy", "–", "77.8%"),
        ("score", "–", "0.600 [0.400, 0.800]"),
    )
    assert info.rows is None  # an older run, which did not note it
    shown = table(info, CHINESE)
    assert "SFT → DPO" in shown
    assert "偏好正確率" in shown
    assert str(tmp_path) not in shown


def test_a_share_of_pairs_says_how_many_its_interval_and_what_it_means(tmp_path: Path) -> None:
    before, after = (with_intervals({"eval/rewards/accuracy": share}, 40) for share in (0.5, 0.975))
    run = _run(tmp_path / "dpo", stage="dpo", base="smollm2-135m", before=before, after=after)
    info = describe(str(run), None, {"places": []}, None, "t")
    assert info.rows == 40
    # Wilson (1927) by hand for 20 and 39 of 40: (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n), z = 1.96
    assert info.numbers == (("rewards/accuracy", "50.0% [35.2%, 64.8%]", "97.5% [87.1%, 99.6%]"),)
    for texts in (ENGLISH, CHINESE, SIMPLIFIED):
        shown = table(info, texts)
        assert texts.rows.format(rows="40") in shown
        assert escape(texts.meanings["rewards/accuracy"]) in shown


def test_an_adapter_beside_a_base_is_found_too(tmp_path: Path) -> None:
    run = _run(tmp_path / "sft", stage="sft", base="smollm2-135m", after={"eval/perplexity": 36.54})
    info = describe("smollm2-135m", str(run), {"places": ["/cache/smollm2-135m", str(run / "model")]}, None, "t")
    assert (info.stages, info.adapter, info.numbers) == (("sft",), "sft", (("perplexity", "–", "36.5"),))


def test_the_version_is_that_of_the_run_or_of_what_is_pinned(tmp_path: Path) -> None:
    run = _run(tmp_path / "sft", stage="sft", base="smollm2-135m")
    digest = hashlib.sha256((run / "manifest.json").read_bytes()).hexdigest()
    assert describe(str(run), None, {"places": [str(run / "model")]}, None, "t").version == digest[:12]
    assert describe("smollm2-135m", str(run), {}, None, "t").version == digest[:12]
    assert digest[:12] in table(describe(str(run), None, {}, None, "t"), ENGLISH)
    assert describe("smollm2-135m", None, {}, None, "t").version == EMBEDDED["smollm2-135m"].gguf_sha256[:12]
    assert describe("a/b", None, {"places": [f"a/b@{'0a' * 20}"]}, None, "t").version == "0a0a0a0a0a0a"
    assert describe("a/b", None, {"places": ["a/b@main"]}, None, "t").version == ""


def test_a_model_card_states_the_license(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# <b>x</b>")
    info = describe(str(tmp_path), None, {"places": [str(tmp_path)]}, None, "<b>")
    assert info.license == "mit"
    assert "<b>" not in table(info, ENGLISH)
    assert ENGLISH.no_run in table(info, ENGLISH)
    assert ENGLISH.license_unknown in table(describe("a/b", None, {}, None, "t"), ENGLISH)


def test_the_longest_answer_leaves_room_for_a_question() -> None:
    said: list[str] = []
    assert _with_room(Settings(max_new_tokens=512), 512, said.append).max_new_tokens == 256
    assert "at most 256 tokens" in said[0]
    assert _with_room(Settings(max_new_tokens=512), None, said.append).max_new_tokens == 512
    assert _with_room(Settings(max_new_tokens=511), 512, said.append).max_new_tokens == 511
    assert len(said) == 1


def test_a_context_beyond_the_models_is_refused() -> None:
    assert _context(4096, None) == 4096
    assert _context(4096, 100) == 100
    assert _context(None, 100) == 100
    with pytest.raises(ServeError, match="--context-len is 5000, but the model's context is 4096"):
        _context(4096, 5000)


# -- the server ---------------------------------------------------------------------------------------------------------
def test_only_what_the_page_needs_is_served() -> None:
    assert all(
        map(allowed, ["/", "/config", "/assets/index.js", "/gradio_api/queue/join", "/gradio_api/heartbeat/abc"])
    )
    for path in (
        "/gradio_api/upload",
        "/gradio_api/info",
        "/gradio_api/run/ask",
        "/gradio_api/call/ask",
        "/monitoring",
    ):
        assert not allowed(path)
    assert not any(
        map(allowed, ["/gradio_api/file=/etc/passwd", "/gradio_api/proxy=http://x", "/docs", "/openapi.json"])
    )


def test_a_port_in_use_is_told_before_a_model_is_loaded() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServeError, match=r"Address already in use; choose another --port"):
            check(Place(port=port))
    check(Place(port=port))


def test_sharing_is_warned_of_and_never_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert warnings(Place()) == []
    assert "Never use it with patient data" in warnings(Place(share=True))[0]
    assert "no password" in warnings(Place(host="0.0.0.0"))[0]
    monkeypatch.setenv("GRADIO_SHARE", "True")
    assert "nothing is shared without --share" in warnings(Place())[0]


def test_a_proxy_is_passed_by_while_the_page_starts_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "example.org")
    monkeypatch.delenv("no_proxy", raising=False)

    def start() -> None:
        with _without_proxy("10.0.0.1"):
            assert os.environ["NO_PROXY"] == "example.org,10.0.0.1,localhost,127.0.0.1"
            assert os.environ["no_proxy"] == "10.0.0.1,localhost,127.0.0.1"
            raise OSError("port in use")

    with pytest.raises(OSError, match="port"):
        start()
    assert os.environ["NO_PROXY"] == "example.org"
    assert "no_proxy" not in os.environ


def test_the_inputs_of_the_page_hand_over_its_settings_and_the_others_stay() -> None:
    info = ModelInfo("m", "b", "", (), "", "", (), 512, "", "chatml")
    given = Settings("Be brief.", 40, 0.5, 0.8, 20, 1.2, 7, ("END",), 0.1, 0.25, 0.75)
    offer = Offer({"m": info})
    page = build(offer, given)
    events = Events(page, offer, lambda texts: pytest.fail("nobody came"), given)
    events.wire()
    values = [component.value for component in page.sampling]
    assert events._settings(tuple(values)) == given
    values[2] = 0.0
    assert events._settings(tuple(values)) == replace(given, temperature=0.0)
