"""Each of the proofs before step 0 holds on good rows and fails when its promise is broken."""

from io import StringIO
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from tests.texts import SHAPES, byte_level, dialogue, says, user
from tests.tiny import tiny_model, tiny_tokenizer
from tests.trees import grow_pair

from medicalgpt.data.records import Document, Message, Preference, Source
from medicalgpt.errors import RenderError
from medicalgpt.rendering.rows import render_dialogue, render_document, render_preference
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.tree import Segment, TokenTree, chain
from medicalgpt.training.preflight import as_table, preflight, show

ROW = SHAPES["turns"]
SOURCE = Source("rows.jsonl", 3)


@pytest.fixture(scope="module")
def template() -> ChatTemplate:
    return ChatTemplate.load(tiny_tokenizer())


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny_model()


def rows(template: ChatTemplate) -> list[TokenTree]:
    return [t for shape in ("single", "turns") for t in render_dialogue(dialogue(shape), template, 512).trees]


def check(
    template: ChatTemplate, model: Any, trees: list[TokenTree] | None = None, talks: Any = (ROW,)
) -> dict[str, str]:
    proofs = preflight(rows(template) if trees is None else trees, template, model, talks)
    return {p.name: p.value for p in proofs}


def test_good_rows(template: ChatTemplate, model: Any) -> None:
    found = check(template, model)
    assert list(found) == ["vocabulary", "padding", "masking", "stop token", "generation prompt"]
    trained = sum(tree.trained for tree in rows(template))
    assert found["masking"] == f"{trained} trained tokens, none of 2 rows fully masked"
    assert found["stop token"] == "2 of 2 answers end in trained id 2 ('<|im_end|>'), 100 %"
    assert found["padding"] == "pad id 3 is none of the stop ids [2, 0]"
    assert found["vocabulary"].endswith("< 400 embeddings; tokenizer has 400")
    assert found["generation prompt"] == "equal token by token in 5 conversations"


def test_documents_need_no_stop_token(template: ChatTemplate, model: Any) -> None:
    trees = list(render_document(Document("What is a fever?", SOURCE), template, 512).trees)
    assert list(check(template, model, trees, ())) == ["vocabulary", "padding", "masking"]


def test_both_branches_of_a_preference_are_counted(template: ChatTemplate, model: Any) -> None:
    row = Preference((user("?"),), (says("Yes."),), (says("No."),), SOURCE)
    trees = list(render_preference(row, template, 512).trees)
    assert check(template, model, trees)["stop token"].startswith("2 of 2 answers")


def test_an_id_without_an_embedding(template: ChatTemplate, model: Any) -> None:
    tree = chain([1, 400, 2], [0, 1, 1], SOURCE)
    with pytest.raises(RenderError, match="ids up to 400, but the model has only 400 embeddings"):
        check(template, model, [tree])


def test_a_tokenizer_larger_than_the_model(template: ChatTemplate) -> None:
    with pytest.raises(RenderError, match=r"the tokenizer has 400 tokens .* this tokenizer belongs to another model"):
        check(template, tiny_model(vocab_size=399), [chain([1, 5, 2], [0, 1, 1], SOURCE)])


def test_padded_embeddings_are_fine(template: ChatTemplate) -> None:
    assert "< 448 embeddings" in check(template, tiny_model(vocab_size=448))["vocabulary"]


def test_a_row_that_trains_nothing(template: ChatTemplate, model: Any) -> None:
    with pytest.raises(RenderError, match=r"rows\.jsonl:3: no token of this row is trained"):
        check(template, model, [*rows(template), chain([1, 5, 2], [0, 0, 0], SOURCE)])


def test_a_pad_token_that_stops(model: Any) -> None:
    """`pad_id` itself passes such tokens over; the proof must not rely on that."""
    template = ChatTemplate.load(tiny_tokenizer())
    template.pad_id = template.stop_id  # type: ignore[misc]
    with pytest.raises(RenderError, match=r"the pad token \(id 2\) is also a stop token"):
        check(template, model)


@pytest.mark.parametrize(
    ("ids", "weights"), [([1, 5, 7], [0, 1, 1]), ([1, 5, 2], [0, 1, 0])], ids=["another token", "untrained"]
)
def test_an_answer_without_a_trained_stop_token(
    template: ChatTemplate, model: Any, ids: list[int], weights: list[float]
) -> None:
    with pytest.raises(RenderError, match=r"rows\.jsonl:3: its last trained token is not the stop token \(id 2\)"):
        check(template, model, [*rows(template), chain(ids, weights, SOURCE)])


def test_one_branch_without_a_stop_token(template: ChatTemplate, model: Any) -> None:
    tree = grow_pair(4, 3, 3, 100)
    good = Segment(np.asarray([5, 2], np.int32), np.ones(2, np.float32), 0)
    with pytest.raises(RenderError, match="last trained token is not the stop token"):
        check(template, model, [TokenTree((tree.segments[0], good, tree.segments[2]), SOURCE)])


def test_a_prompt_that_differs_between_training_and_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inference that lets the header's newline merge with what follows, as encoding the whole text at once would."""
    template = ChatTemplate.load(byte_level(), "chatml")

    def merged(self: ChatTemplate, messages: Any, tools: Any = ()) -> list[int]:
        return self.encoder.ids(self.text(messages, tools, generation_prompt=True) + "\n\n")

    trees = list(render_dialogue(dialogue("single"), template, 512).trees)
    model = tiny_model(vocab_size=600)
    preflight(trees, template, model, [SHAPES["single"]])
    monkeypatch.setattr(ChatTemplate, "prompt_ids", merged)
    with pytest.raises(RenderError, match="the prompt differs between training and inference"):
        preflight(trees, template, model, [SHAPES["single"]])


def test_rewriting_templates_are_rendered_answer_by_answer(model: Any) -> None:
    source = tiny_tokenizer().chat_template.replace(
        "message['content']", "(message['content'] if loop.last else message['content'] | replace('x', ''))"
    )
    thinking = ChatTemplate(tiny_tokenizer(), source, "thinking")
    talk = (user("a"), says("xb"), user("c"), says("xd"))
    trees = list(render_dialogue(dialogue("single"), thinking, 512).trees)
    assert "equal token by token" in check(thinking, model, trees, (talk,))["generation prompt"]


def test_the_table_and_the_row(template: ChatTemplate, model: Any) -> None:
    out = Console(file=StringIO(), width=200, force_terminal=True, color_system="standard")
    out.print(as_table(preflight(rows(template), template, model, [ROW])))
    out.print(show(rows(template)[0], template))
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert "generation prompt" in text
    shown = show(rows(template)[0], template)
    assert shown.plain == template.text(SHAPES["single"]).removesuffix("\n")
    green = [shown.plain[s.start : s.end] for s in shown.spans if "green" in str(s.style)]
    assert green == ["38 degrees or more.<|im_end|>"]


def test_a_preference_is_shown_with_both_branches(template: ChatTemplate) -> None:
    row = Preference((Message("user", "?"),), (says("Yes."),), (says("No."),), SOURCE)
    shown = show(render_preference(row, template, 512).trees[0], template)
    assert "Yes.<|im_end|>\n— other branch —\nNo.<|im_end|>" in shown.plain
