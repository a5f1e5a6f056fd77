"""What stands beside every answer that people see."""

from collections.abc import Mapping
from typing import Final

from medicalgpt.config.emergency import Emergency, sentence
from medicalgpt.language import Language

_FORMS: Final[Mapping[Language, str]] = {
    "en": (
        "This is a language model, not a doctor: it can be wrong. {emergency} "
        "Ask a qualified professional before you act on an answer."
    ),
    "zh-TW": "這是語言模型，不是醫師，回答可能有錯。{emergency}依回答採取行動前，請先諮詢合格的醫療專業人員。",
    "zh-CN": "这是语言模型，不是医生，回答可能有错。{emergency}按回答行动之前，请先咨询合格的医疗专业人员。",
}


def disclaimer(language: Language, emergency: Emergency | None = None) -> str:
    """One language's text, with the number that the user chose or with those of several regions."""
    return _FORMS[language].format(emergency=sentence(language, emergency))


def disclaimers(emergency: Emergency | None = None) -> str:
    """All languages, a line each."""
    return "\n".join(disclaimer(language, emergency) for language in _FORMS)


DISCLAIMERS: Final[Mapping[Language, str]] = {language: disclaimer(language) for language in _FORMS}
