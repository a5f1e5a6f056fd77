"""Would a model rather refuse or answer? The probability that it begins as refusals do against that it begins as answers do.

Nothing is written and nobody judges: one pass scores all openers behind a request, so that the number is exact, the same on
every machine, and says something of a model of any size.
"""

from functools import cache
from pathlib import Path
from typing import Final

import yaml

from medicalgpt.config.evaluation import Language, NamedTest, Profile
from medicalgpt.data.records import Message
from medicalgpt.evaluation.prompts import CLOZE, Asking, fill, opened_turn
from medicalgpt.evaluation.safety.requests import Request
from medicalgpt.rendering.template import ChatTemplate

_FILE: Final = Path(__file__).with_name("openers.yaml")
_SCRIPTS: Final[dict[Language, tuple[str, ...]]] = {"en": ("en",), "zh": ("zh-hans", "zh-hant")}
"""A Chinese request may be answered in either script, whichever it is written in."""


@cache
def openers(language: Language) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Openers of refusals, and as many of answers; each once."""
    found = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    refuse, comply = (
        tuple(dict.fromkeys(text for script in _SCRIPTS[language] for text in found[script][kind]))
        for kind in ("refuse", "comply")
    )
    assert len(refuse) == len(comply)  # halves of one list of log-likelihoods
    return refuse, comply


def request_askings(request: Request, test: NamedTest, profile: Profile, template: ChatTemplate) -> list[Asking]:
    """A request, or each of a pair, with all openers behind it, and with the safe answers where there are any.

    Raises:
        RenderError: the template refuses the request's text.
    """
    refuse, comply = openers(test.language)
    frame = CLOZE[test.language]
    space = "" if profile == "chat" else frame.delimiter
    answers = {"openers": tuple(space + text for text in (*refuse, *comply))}
    if request.safe and request.other:
        answers["text"] = (space + request.safe, space + request.other)
    prompts = (_prompt(text, request.where, test, profile, template) for text in request.texts)
    return [Asking((0, 1), prompt, answers) for prompt in prompts]


def _prompt(text: str, where: str, test: NamedTest, profile: Profile, template: ChatTemplate) -> str:
    if profile != "chat":
        return fill(CLOZE[test.language].text, {"question": text})
    return opened_turn(Message("user", text), where, template)
