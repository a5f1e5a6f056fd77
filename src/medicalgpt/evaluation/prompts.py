"""How an item is asked: the text before the answer and the answers to choose among, byte for byte as a profile says."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from medicalgpt.config.evaluation import Language, NamedTest, Profile, PromptConfig
from medicalgpt.data.formats.options import LETTERS
from medicalgpt.data.records import Message
from medicalgpt.errors import ConfigError, RenderError
from medicalgpt.evaluation.items import Item
from medicalgpt.rendering.dialogue import check_content
from medicalgpt.rendering.template import ChatTemplate

_FIELD: Final = re.compile(r"\{(question|context|options|subject|letter|text)\}")

INSTRUCTIONS: Final[dict[Language, tuple[str, str]]] = {
    "en": ("Answer with the letter of the right option only.", "Answer with the letters of all right options only."),
    "zh": ("只回答正确选项的字母。", "只回答所有正确选项的字母。"),
}
"""What the profile `chat` asks for where one option is right, and where several may be."""

CLOZE: Final[dict[Language, PromptConfig]] = {
    "en": PromptConfig(text="Question: {question}\nAnswer:", answers="texts"),
    "zh": PromptConfig(text="问题：{question}\n答案：", answers="texts", delimiter=""),
}
"""Prompts of the profile `cloze` where a test has none of its own."""

LM_EVAL: Final[dict[Language, PromptConfig]] = {
    "en": PromptConfig(text="Question: {question}\n{options}Answer:"),
    "zh": PromptConfig(text="问题：{question}\n{options}答案："),
}


@dataclass(frozen=True, slots=True)
class Asking:
    """An item in one order of its options. `order[i]` is the place in the item of the i-th option shown.

    `answers` are the texts that may follow `prompt`, by scoring: "letter" (A), "spaced" ( A) and "text"; all in the order
    shown. What counts is the first of them.
    """

    order: tuple[int, ...]
    prompt: str
    answers: Mapping[str, tuple[str, ...]]


def askings(
    item: Item,
    examples: Sequence[Item],
    prompt: PromptConfig | None,
    test: NamedTest,
    template: ChatTemplate | None,
    orders: int,
    texts: bool,
) -> list[Asking]:
    """An item in so many cyclic orders of its options; in the profile `chat` (`prompt` None) in the template's own turn.

    Raises:
        RenderError: the template refuses the item's text.
    """
    count = len(item.options)
    found = []
    for shift in range(min(orders, count)):
        order = tuple((place + shift) % count for place in range(count))
        shown = tuple(item.options[place] for place in order)
        if prompt is None:
            assert template is not None  # the profile `chat` has one
            asked = opened_turn(user_turn(item, shown, test), item.where, template)
            answers = {"letter": tuple(LETTERS[:count]), "spaced": tuple(f" {x}" for x in LETTERS[:count])}
            answers |= {"text": shown} if texts else {}
        else:
            asked = plain(item, shown, examples, prompt)
            answers = _answers(shown, prompt, texts)
        found.append(Asking(order, asked, answers))
    return found


def prompt_of(test: NamedTest, profile: Profile) -> PromptConfig | None:
    """The prompt that a test has in a profile, None in `chat`."""
    if profile == "chat":
        return None
    usual = CLOZE if profile == "cloze" else LM_EVAL
    return test.prompts.get(profile, usual[test.language])


def plain(item: Item, shown: Sequence[str], examples: Sequence[Item], prompt: PromptConfig) -> str:
    """The prompt as one text: description, worked examples with their answers, question."""
    head = fill(prompt.description, {"subject": item.subject})
    done = []
    for example in examples:
        answer = _words(example.options, prompt)[example.gold[0]]
        done.append(f"{_question(example, example.options, prompt)}{prompt.delimiter}{answer}\n\n")
    return head + "".join(done) + _question(item, shown, prompt)


def _question(item: Item, shown: Sequence[str], prompt: PromptConfig) -> str:
    options = "".join(fill(prompt.option, {"letter": LETTERS[i], "text": text}) for i, text in enumerate(shown))
    context, line = item.asked
    question = line if "{context}" in prompt.text else item.question
    question = question.strip() if prompt.strip else question
    values = {"question": question, "context": context, "options": options, "subject": item.subject}
    return fill(prompt.text, values)


def _words(shown: Sequence[str], prompt: PromptConfig) -> Sequence[str]:
    """The answers to choose among, in the order of the options shown."""
    if prompt.answers == "texts":
        return shown
    if prompt.answers == "letters":
        return LETTERS[: len(shown)]
    if len(prompt.answers) != len(shown):
        raise ConfigError(f"prompts: {len(prompt.answers)} answers are named for an item with {len(shown)} options")
    return prompt.answers


def _answers(shown: Sequence[str], prompt: PromptConfig, texts: bool) -> dict[str, tuple[str, ...]]:
    words = _words(shown, prompt)
    if prompt.answers == "letters":
        found = {"spaced" if prompt.delimiter == " " else "letter": tuple(prompt.delimiter + word for word in words)}
        found |= {"letter": tuple(words)} if prompt.delimiter == " " else {"spaced": tuple(f" {w}" for w in words)}
        return found | ({"text": tuple(prompt.delimiter + text for text in shown)} if texts else {})
    return {"text": tuple(prompt.delimiter + word for word in words)}


def opened_turn(turn: Message, where: str, template: ChatTemplate) -> str:
    """A user's turn and the assistant's, opened. Raises RenderError with the place where the template refuses it."""
    try:
        check_content(template, [turn])
        return template.text([turn], generation_prompt=True)
    except RenderError as error:
        raise RenderError(f"{where}: {error}") from None


def user_turn(item: Item, shown: Sequence[str], test: NamedTest) -> Message:
    """What the profile `chat` asks."""
    options = "\n".join(f"{LETTERS[i]}. {text}" for i, text in enumerate(shown))
    ask = test.instruction or INSTRUCTIONS[test.language][item.together]
    return Message("user", f"{item.question}\n{options}\n\n{ask}")


def fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with its {fields} replaced in one pass: what is put in is not looked at again."""
    return _FIELD.sub(lambda found: values.get(found[1], found[0]), text)
