"""Rows to trees: over-length policies, document pieces, preference forks, and rows that are refused."""

from typing import Any

import numpy as np
import pytest
from tests.texts import byte_level, metaspace, says, user
from tests.tiny import tiny_tokenizer

from medicalgpt.data.records import Dialogue, Document, Feedback, Message, Preference, Source
from medicalgpt.errors import RenderError
from medicalgpt.rendering.rows import (
    Rendered,
    VerificationError,
    fork,
    render_dialogue,
    render_document,
    render_feedback,
    render_preference,
)
from medicalgpt.rendering.template import ChatTemplate

SOURCE = Source("rows.jsonl", 7)
SYSTEM = Message("system", "Be brief.")
LONG = "What is a fever and " * 20 + "when should I call?"


@pytest.fixture(scope="module")
def template() -> ChatTemplate:
    return ChatTemplate.load(tiny_tokenizer())


def dialogue(*messages: Message) -> Dialogue:
    return Dialogue(messages, SOURCE)


def text(template: ChatTemplate, rendered: Rendered) -> list[str]:
    return [template.encoder.decode(tree.path(0)[0].tolist()) for tree in rendered.trees]


def trained(template: ChatTemplate, rendered: Rendered) -> list[str]:
    out = []
    for tree in rendered.trees:
        ids, weights = tree.path(0)
        out.append(template.encoder.decode(ids[weights > 0].tolist()))
    return out


def tokens(template: ChatTemplate, *messages: Message) -> int:
    return len(render_dialogue(dialogue(*messages), template, 10_000).trees[0])


# -- dialogues -----------------------------------------------------------------------------------------------------


def test_a_row_that_fits_is_kept(template: ChatTemplate) -> None:
    row = dialogue(SYSTEM, user("Fever?"), says("38."))
    size = tokens(template, *row.messages)
    rendered = render_dialogue(row, template, size)
    assert (rendered.outcome, len(rendered.trees[0])) == ("kept", size)
    assert render_dialogue(row, template, size - 1).outcome != "kept"
    assert rendered.trees[0].source == SOURCE


def test_truncation_drops_the_oldest_exchanges_whole(template: ChatTemplate) -> None:
    turns = (user("One?"), says("First."), user("Two?"), says("Second."), user("Three?"), says("Third."))
    limit = tokens(template, SYSTEM, *turns[2:])
    rendered = render_dialogue(dialogue(SYSTEM, *turns), template, limit)
    assert rendered.outcome == "truncated"
    assert text(template, rendered) == [template.text((SYSTEM, *turns[2:])).removesuffix("\n")]
    assert trained(template, rendered) == ["Second.<|im_end|>Third.<|im_end|>"]
    assert text(template, render_dialogue(dialogue(SYSTEM, *turns), template, limit - 1)) == [
        template.text((SYSTEM, *turns[4:])).removesuffix("\n")
    ]


@pytest.mark.parametrize("limit", range(60, 120, 5))
def test_truncation_keeps_header_answer_and_stop_token(template: ChatTemplate, limit: int) -> None:
    rendered = render_dialogue(dialogue(SYSTEM, user(LONG), says("38 degrees.")), template, limit)
    assert rendered.outcome == "truncated"
    (tree,) = rendered.trees
    assert limit - 10 <= len(tree) <= limit  # little room is given away
    (found,) = text(template, rendered)
    assert found.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat is")
    assert found.endswith("call?<|im_end|>\n<|im_start|>assistant\n38 degrees.<|im_end|>")
    assert " … " in found
    assert trained(template, rendered) == ["38 degrees.<|im_end|>"]


def test_a_cut_question_has_no_broken_characters(template: ChatTemplate) -> None:
    """Chinese characters are several tokens here; a cut in the midst of one must not leave a replacement character."""
    row = dialogue(user("發燒怎麼辦？高血壓怎麼辦？" * 12), says("請諮詢醫師。"))
    for limit in range(50, 90):
        rendered = render_dialogue(row, template, limit)
        assert rendered.outcome == "truncated"
        assert len(rendered.trees[0]) <= limit
        assert "\ufffd" not in text(template, rendered)[0]


def test_an_answer_that_cannot_fit_is_dropped_with_the_reason(template: ChatTemplate) -> None:
    rendered = render_dialogue(dialogue(user("Fever?"), says(LONG)), template, 40)
    assert (rendered.trees, rendered.outcome) == ((), "dropped")
    assert rendered.reason == "answer and template alone are longer than 40 tokens"


def test_drop(template: ChatTemplate) -> None:
    row = dialogue(user("One?"), says("First."), user("Two?"), says("Second."))
    size = tokens(template, *row.messages)
    assert render_dialogue(row, template, size, over_length="drop").outcome == "kept"
    rendered = render_dialogue(row, template, size - 1, over_length="drop")
    assert rendered == Rendered((), "dropped", f"longer than {size - 1} tokens", over_length=True)


def test_split_trains_every_answer_once(template: ChatTemplate) -> None:
    turns = [m for i in range(7) for m in (user(f"Question {i}?"), says(f"Answer number {i}."))]
    limit = tokens(template, SYSTEM, *turns[:4])
    rendered = render_dialogue(dialogue(SYSTEM, *turns), template, limit, over_length="split")
    assert rendered.outcome == "split"
    assert "".join(trained(template, rendered)) == "".join(f"Answer number {i}.<|im_end|>" for i in range(7))
    assert [len(tree) <= limit for tree in rendered.trees] == [True] * 4  # two exchanges a piece
    assert all(
        t.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user") for t in text(template, rendered)
    )


def test_split_cuts_a_question_that_is_too_long_alone(template: ChatTemplate) -> None:
    rendered = render_dialogue(
        dialogue(user("One?"), says("First."), user(LONG), says("Second.")), template, 60, over_length="split"
    )
    assert trained(template, rendered) == ["First.<|im_end|>", "Second.<|im_end|>"]
    assert all(len(tree) <= 60 for tree in rendered.trees)


def test_split_drops_a_row_with_an_answer_that_cannot_fit(template: ChatTemplate) -> None:
    rendered = render_dialogue(
        dialogue(user("One?"), says("First."), user("Two?"), says(LONG)), template, 60, over_length="split"
    )
    assert rendered == Rendered((), "dropped", "an answer alone is longer than 60 tokens", over_length=True)


def test_split_with_train_on_last_keeps_the_last_piece(template: ChatTemplate) -> None:
    turns = [m for i in range(3) for m in (user(f"Question {i}?"), says(f"Answer number {i}."))]
    limit = tokens(template, *turns[:2])
    rendered = render_dialogue(dialogue(*turns), template, limit, "last", "split")
    assert trained(template, rendered) == ["Answer number 2.<|im_end|>"]


def test_truncation_never_parts_a_tool_call_from_its_answer(template: ChatTemplate) -> None:
    turns = (user("Old?"), says("Old."), user("How much?"), says("I look."), Message("tool", "500"), says("500 mg."))
    limit = tokens(template, *turns[2:])
    rendered = render_dialogue(dialogue(*turns), template, limit)
    assert text(template, rendered) == [template.text(turns[2:]).removesuffix("\n")]


def test_an_answer_that_decodes_to_another_text_is_refused() -> None:
    """A tokenizer that lowercases would teach another answer than the data has; the texts are kept, not printed."""
    from tokenizers import Tokenizer, normalizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer.from_str(byte_level().backend_tokenizer.to_str())
    inner.normalizer = normalizers.Lowercase()
    template = ChatTemplate(PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|im_end|>"), CHATML, "chatml")
    with pytest.raises(VerificationError, match="first difference at character 0") as caught:
        render_dialogue(dialogue(user("?"), says("Take Aspirin")), template, 512)
    assert (caught.value.expected, caught.value.decoded) == ("Take Aspirin<|im_end|>", "take aspirin<|im_end|>")
    assert "spirin" not in str(caught.value)


def test_compatibility_forms_are_the_same_text() -> None:
    """SentencePiece models normalize by NFKC; that is no reason to refuse a full-width comma."""
    from tokenizers import Tokenizer, normalizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer.from_str(byte_level().backend_tokenizer.to_str())
    inner.normalizer = normalizers.NFKC()
    template = ChatTemplate(PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<|im_end|>"), CHATML, "chatml")
    rendered = render_dialogue(dialogue(user("?"), says("３８ degrees，or more")), template, 512)
    assert trained(template, rendered) == ["38 degrees,or more<|im_end|>"]


CHATML = tiny_tokenizer().chat_template


# -- documents -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokenizer", [byte_level(), byte_level(bos="<s>", eos="</s>"), metaspace()])
@pytest.mark.parametrize("limit", [16, 17, 40, 10_000])
def test_every_token_of_a_document_is_predicted_exactly_once(tokenizer: Any, limit: int) -> None:
    template = ChatTemplate.load(tokenizer, "chatml")
    document = Document("高血壓的症狀包括頭痛。\n\nWhat is a fever? " * 4, SOURCE)
    rendered = render_document(document, template, limit)
    whole = [template.document_start, *template.encoder.ids(document.text), template.document_end]
    predicted: list[int] = []
    for number, tree in enumerate(rendered.trees):
        ids, weights = tree.path(0)
        assert len(ids) <= limit
        assert weights.tolist() == [0.0] + [1.0] * (len(ids) - 1)
        if number:
            assert ids[0] == predicted[-1]  # a piece goes on from the last token of the one before
        predicted += ids[1:].tolist()
    assert [template.document_start, *predicted] == whole
    assert rendered.outcome == ("kept" if limit == 10_000 else "split")


def test_a_document_of_exactly_the_limit_is_one_piece(template: ChatTemplate) -> None:
    size = len(template.encoder.ids("What is a fever?")) + 2
    document = Document("What is a fever?", SOURCE)
    assert [len(t) for t in render_document(document, template, size).trees] == [size]
    assert [len(t) for t in render_document(document, template, size - 1).trees] == [size - 1, 2]


# -- preferences ---------------------------------------------------------------------------------------------------


def preference(chosen: str, rejected: str, *prompt: Message) -> Preference:
    return Preference(prompt or (user("Fever?"),), (says(chosen),), (says(rejected),), SOURCE)


def test_a_preference_is_a_prompt_with_two_branches(template: ChatTemplate) -> None:
    row = preference("38 degrees.", "38 meters.", SYSTEM, user("Fever?"))
    rendered = render_preference(row, template, 512)
    (tree,) = rendered.trees
    assert rendered.outcome == "kept"
    prompt, chosen, rejected = tree.segments
    assert [s.parent for s in tree.segments] == [-1, 0, 0]
    # Both answers begin with the same words; they are trained, so the trunk ends before them.
    assert prompt.ids.tolist() == template.prompt_ids(row.prompt)
    assert not prompt.weights.any()
    assert template.encoder.decode(chosen.ids.tolist()) == "38 degrees.<|im_end|>"
    assert template.encoder.decode(rejected.ids.tolist()) == "38 meters.<|im_end|>"
    assert chosen.weights.all()
    assert rejected.weights.all()


def test_a_branch_may_go_on_over_several_turns(template: ChatTemplate) -> None:
    row = Preference((user("?"),), (says("Which?"), user("38."), says("Fever.")), (says("No."),), SOURCE)
    (tree,) = render_preference(row, template, 512).trees
    ids, weights = tree.path(1)
    assert template.encoder.decode(ids[weights > 0].tolist()) == "Which?<|im_end|>Fever.<|im_end|>"
    assert template.encoder.decode(ids.tolist()) == template.text((*row.prompt, *row.chosen)).removesuffix("\n")


def test_answers_that_swallow_the_headers_newline_still_share_the_prompt() -> None:
    template = ChatTemplate.load(byte_level(), "chatml")
    row = preference("\n\n38 degrees.", "No.")
    (tree,) = render_preference(row, template, 512).trees
    assert tree.segments[0].ids.tolist() == template.prompt_ids(row.prompt)


def test_both_branches_of_a_long_preference_lose_the_same_part_of_the_prompt(template: ChatTemplate) -> None:
    prompt = (SYSTEM, user("Old?"), says("Old."), user(LONG))
    rendered = render_preference(preference("38 degrees or more.", "No.", *prompt), template, 60)
    (tree,) = rendered.trees
    assert rendered.outcome == "truncated"
    assert tree.longest_path <= 60
    assert [template.encoder.decode(s.ids.tolist()) for s in tree.segments[1:]] == [
        "38 degrees or more.<|im_end|>",
        "No.<|im_end|>",
    ]
    root = template.encoder.decode(tree.segments[0].ids.tolist())
    assert root.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat")
    assert root.endswith("<|im_start|>assistant\n")


@pytest.mark.parametrize("longer", ["chosen", "rejected"])
def test_the_longer_branch_decides(template: ChatTemplate, longer: str) -> None:
    answers = {"chosen": "Yes.", "rejected": "No."} | {longer: LONG}
    row = preference(answers["chosen"], answers["rejected"])
    assert render_preference(row, template, 60).reason == "answer and template alone are longer than 60 tokens"
    assert render_preference(row, template, 60, "drop") == Rendered(
        (), "dropped", "longer than 60 tokens", over_length=True
    )
    assert render_preference(row, template, 60, "split").outcome == "dropped"  # an answer cannot be split


def test_two_answers_of_the_same_tokens_are_refused(template: ChatTemplate) -> None:
    with pytest.raises(RenderError, match=r"rows\.jsonl:7: two answers of this row have the same tokens"):
        render_preference(preference("Yes.", "Yes."), template, 512)


def test_fork() -> None:
    def chain(ids: list[int], first: int) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(ids, np.int32), np.asarray([float(i >= first) for i in range(len(ids))], np.float32)

    # The trunk ends before the first trained token, even where the answers begin alike,
    tree = fork([chain([1, 2, 3, 4, 5], 3), chain([1, 2, 3, 4, 6], 3)], SOURCE)
    assert [s.ids.tolist() for s in tree.segments] == [[1, 2, 3], [4, 5], [4, 6]]
    # and at the first difference, even where that is not trained (a tokenizer may merge across the boundary).
    tree = fork([chain([1, 2, 9, 4, 5], 3), chain([1, 2, 3, 4, 6], 3)], SOURCE)
    assert [s.ids.tolist() for s in tree.segments] == [[1, 2], [9, 4, 5], [3, 4, 6]]
    with pytest.raises(RenderError, match="share no prompt"):
        fork([chain([1, 2], 1), chain([3, 2], 1)], SOURCE)


# -- feedback ------------------------------------------------------------------------------------------------------


def test_feedback_is_a_prompt_an_answer_and_a_verdict(template: ChatTemplate) -> None:
    row = Feedback((SYSTEM, user("Fever?")), (says("38 degrees."),), False, SOURCE)
    rendered = render_feedback(row, template, 512)
    (tree,) = rendered.trees
    prompt, answer = tree.segments
    assert (rendered.outcome, tree.desirable, answer.parent) == ("kept", False, 0)
    assert prompt.ids.tolist() == template.prompt_ids(row.prompt)
    assert not prompt.weights.any()
    assert template.encoder.decode(answer.ids.tolist()) == "38 degrees.<|im_end|>"
    assert answer.weights.all()


def test_a_pair_becomes_a_good_and_a_bad_answer_to_the_same_prompt(template: ChatTemplate) -> None:
    row = preference("38 degrees.", "38 meters.", SYSTEM, user("Fever?"))
    (pair,) = render_preference(row, template, 512).trees
    rendered = render_feedback(row, template, 512)
    assert rendered.outcome == "split"
    good, bad = rendered.trees
    assert (good.desirable, bad.desirable) == (True, False)
    for tree, number in ((good, 1), (bad, 2)):
        tree.check()
        assert tree.path(1)[0].tolist() == pair.path(number)[0].tolist()
        assert tree.path(1)[1].tolist() == pair.path(number)[1].tolist()


def test_long_feedback_loses_part_of_its_prompt_or_is_dropped(template: ChatTemplate) -> None:
    row = Feedback((SYSTEM, user("Old?"), says("Old."), user(LONG)), (says("38 degrees or more."),), True, SOURCE)
    rendered = render_feedback(row, template, 60)
    (tree,) = rendered.trees
    assert (rendered.outcome, tree.desirable) == ("truncated", True)
    assert tree.longest_path <= 60
    assert template.encoder.decode(tree.segments[1].ids.tolist()) == "38 degrees or more.<|im_end|>"
    assert render_feedback(row, template, 60, "drop").outcome == "dropped"
    pair = preference("38 degrees or more.", "No.", *row.prompt)
    cut = render_feedback(pair, template, 60)
    assert cut.outcome == "truncated"
    assert cut.trees[0].segments[0].ids.tolist() == cut.trees[1].segments[0].ids.tolist()
