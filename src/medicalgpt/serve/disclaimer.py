"""What stands beside every answer that people see."""

from typing import Final

DISCLAIMERS: Final = {
    "en": (
        "This is a language model, not a doctor: it can be wrong. In an emergency call your local emergency number now. "
        "Ask a qualified professional before you act on an answer."
    ),
    "zh-TW": (
        "這是語言模型，不是醫師，回答可能有錯。緊急情況請立即撥打當地急救電話（台灣 119）；"
        "依回答採取行動前，請先諮詢合格的醫療專業人員。"
    ),
}
DISCLAIMER: Final = "\n".join(DISCLAIMERS.values())
