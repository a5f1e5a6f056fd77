"""Prompts byte for byte, and answers cut into tokens where lm-evaluation-harness cuts them."""

from tests.tiny import tiny_tokenizer
from tests.unit.evaluation.test_items import named_test as facts

from medicalgpt.config.evaluation import PromptConfig
from medicalgpt.evaluation.catalog import known_tests
from medicalgpt.evaluation.continuations import behind_text, behind_turn
from medicalgpt.evaluation.items import Item
from medicalgpt.evaluation.prompts import askings, plain, prompt_of
from medicalgpt.rendering.template import ChatTemplate

ITEM = Item("x", "Which organ makes insulin?", ("Liver", "Pancreas"), (1,), "anatomy", "f:1")
SHOT = Item("y", "Which vitamin is made in the skin?", ("C", "D"), (1,), "anatomy", "f:2")


def text_of(name: str, item: Item = ITEM, examples: tuple[Item, ...] = ()) -> str:
    prompt = prompt_of(known_tests()[name][0], "lm-eval")
    assert prompt is not None
    return plain(item, item.options, examples, prompt)


def test_prompts_of_the_harness() -> None:
    asked = "Which organ makes insulin?"
    assert text_of("medqa-usmle") == f"Question: {asked}\nA. Liver\nB. Pancreas\nAnswer:"
    assert text_of("medmcqa") == f"Question: {asked}\nChoices:\nA. Liver\nB. Pancreas\nAnswer:"
    assert text_of("mmlu-medical", examples=(SHOT,)) == (
        "The following are multiple choice questions (with answers) about anatomy.\n\n"
        "Which vitamin is made in the skin?\nA. C\nB. D\nAnswer: B\n\n"
        f"{asked}\nA. Liver\nB. Pancreas\nAnswer:"
    )
    abstract = Item("z", "Part one.\nPart two.\nDoes it help?", ("yes", "no", "maybe"), (0,), "", "f:3")
    assert text_of("pubmedqa", abstract) == "Abstract: Part one.\nPart two.\nQuestion: Does it help?\nAnswer:"


def test_braces_in_an_item_are_text() -> None:
    item = Item("x", "What is {options}?", ("{question}", "b"), (0,), "", "f:1")
    assert text_of("medqa-usmle", item) == "Question: What is {options}?\nA. {question}\nB. b\nAnswer:"


def test_orders_show_options_under_other_letters() -> None:
    prompt = PromptConfig(text="{options}")
    found = askings(ITEM, (), prompt, facts(), None, orders=4, texts=True)
    assert [one.order for one in found] == [(0, 1), (1, 0)]  # there are no more cyclic orders of two
    assert found[1].prompt == "A. Pancreas\nB. Liver\n"
    assert found[1].answers == {"spaced": (" A", " B"), "letter": ("A", "B"), "text": (" Pancreas", " Liver")}


def test_answers_are_cut_where_the_prompt_ends() -> None:
    tokenizer = tiny_tokenizer()
    template = ChatTemplate.load(tokenizer)
    prompt, answers = "Question: a fever?\nAnswer:", (" A", "A", " Call a doctor")
    for answer, path in zip(answers, behind_text(template, prompt, answers)):
        whole = tokenizer(prompt + answer, add_special_tokens=False)["input_ids"]
        context = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        assert path.ids.tolist() == whole
        assert path.start == len(context)
        assert path.bytes == len(answer)
    # A prompt's last spaces belong to the answer.
    (spaced,) = behind_text(template, "Answer: ", ("A",))
    assert tokenizer.decode(spaced.ids[spaced.start :]) == " A"


def test_a_chat_answer_begins_after_the_opened_turn() -> None:
    template = ChatTemplate.load(tiny_tokenizer())
    (asked,) = askings(ITEM, (), None, facts(), template, orders=1, texts=False)
    assert asked.prompt.endswith("only.<|im_end|>\n<|im_start|>assistant\n")
    assert "A. Liver\nB. Pancreas\n\nAnswer with the letter" in asked.prompt
    assert next(iter(asked.answers)) == "letter"
    (path,) = behind_turn(template, asked.prompt, ("B",))
    assert template.encoder.decode(path.ids[path.start :]) == "B"
    assert path.ids[: path.start].tolist() == template.encoder.ids(asked.prompt)
