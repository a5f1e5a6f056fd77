"""Every word on the page, in English, 繁體中文 and 简体中文, and which of them a browser gets."""

from dataclasses import replace
from typing import Final

from medicalgpt.config.emergency import Emergency
from medicalgpt.language import Language
from medicalgpt.serve.disclaimer import DISCLAIMERS, disclaimer
from medicalgpt.serve.web.simplified import SIMPLIFIED
from medicalgpt.serve.web.words import Texts

ENGLISH: Final = Texts(
    language="en",
    other_language="简体中文",
    disclaimer=DISCLAIMERS["en"],
    welcome="What would you like to know?",
    welcome_more="Do not enter names or anything else that tells who a patient is.",
    examples=(
        "What are the warning signs of a stroke, and what should I do?",
        "How is high blood pressure diagnosed and treated?",
        "What is the difference between type 1 and type 2 diabetes?",
        "When should a child with a fever of 39 °C see a doctor?",
    ),
    ask_here="Ask a medical question …",
    send="Send",
    stop="Stop",
    clear="New conversation",
    earlier="Earlier answer",
    later="Later answer",
    version="Answer {number} of {of}",
    copied_as=("Question", "Answer"),
    reading="Reading the question …",
    waiting="The model is answering others; your question waits for its turn …",
    done="{tokens} tokens, {rate} a second",
    cut_off="Cut off after {tokens} tokens; “Longest answer” in the settings allows more.",
    stopped="Stopped.",
    empty="The model gave no answer. Try other words, or ask again.",
    dropped="The oldest {turns} messages no longer fit into the model's context and were not read.",
    greedy="At temperature 0 the same question has the same answer; raise it for another one.",
    still_answering="The model is still answering; stop it first.",
    busy="The model is busy with other questions and no more can wait. Please send yours again in a moment.",
    failed="That did not work.",
    not_rendered="The model's chat template does not take this conversation.",
    too_long="The question has {tokens} tokens together with the system message; {limit} fit, as {room} are kept for the "
    "answer. Shorten it, or lower “Longest answer”.",
    no_room="The longest answer is set to {room} tokens, but the model holds {context} for question and answer together. "
    "Lower “Longest answer”.",
    rated="Thank you, your rating is saved on this machine.",
    paired="Your rating is saved on this machine. Preference pairs it gives with the other answers: {pairs}",
    rating_withdrawn="The rating is withdrawn.",
    not_rated="Not saved: this answer is incomplete, and a model trained on it would learn to break off.",
    who_answers="Who answers",
    who_hint="One of them; two or three answer side by side under letters, and their names are told when you have judged.",
    choose_model="Choose under “Who answers” which model is to answer.",
    judge="Which answer is best? The names are told afterwards.",
    judge_first="Say first which answer is best, or skip.",
    best="{letter} is best",
    tie="Equally good",
    all_bad="None is good",
    skip="Skip",
    judged="Saved on this machine; preference pairs: {pairs}.",
    judged_unsaved="Nothing was saved.",
    tally="Best so far: {counts}.",
    kept="Kept conversations",
    keep_this="Keep this conversation",
    keep_hint="In a folder on this machine that only its owner can read. Switching it off deletes it there.",
    kept_search="Search",
    kept_list="{count} found",
    kept_open="Open",
    kept_delete="Delete",
    kept_sure="Delete for good?",
    is_kept="This conversation is kept on this machine.",
    is_deleted="The kept conversation is deleted.",
    kept_damaged="Kept conversations that cannot be read: {count}.",
    print="Print, PDF",
    settings="Settings",
    emergency="Emergency number",
    emergency_hint="Where are you? The number in the notice above follows; your language does not say it.",
    not_chosen="not chosen: several regions are named",
    system="System message",
    system_hint="Who the model is to be; it stands before the conversation.",
    max_new_tokens="Longest answer (tokens)",
    temperature="Temperature",
    temperature_hint="0: always the likeliest words. Higher: more varied, and more often wrong.",
    top_p="Top-p",
    top_k="Top-k",
    top_k_hint="0 is off.",
    repetition_penalty="Repetition penalty",
    seed="Seed",
    seed_hint="Empty: a new one for every answer.",
    seed_wrong="The seed must be a whole number from 0 on, or empty for a new one each time.",
    about="About this model",
    export="Save the conversation",
    export_markdown="Markdown",
    export_json="JSON",
    export_hint="Nothing is kept when you reload or close this page.",
    feedback_hint="Thumbs up and down are saved on this machine, with the conversation up to that answer.",
    thoughts="Reasoning",
    model="Model",
    model_version="Version",
    base="Base model",
    adapter="Adapter",
    stages="Training",
    finished="Finished",
    context="Context",
    weights="Weights",
    template="Chat template",
    license="License",
    license_unknown="not stated; see the page of the base model",
    held_out="On held-out data",
    before="before",
    after="after",
    no_run="This model comes from no run folder, so there are no held-out numbers.",
    rows="{rows} held-out rows",
    named_tests="Named tests, answered rightly",
    meanings={
        "rewards/accuracy": "Share of pairs in which the model finds the preferred answer likelier than the other one, "
        "relative to the model it started from. It says nothing about whether its answers are medically right.",
    },
    metrics={
        "loss": "loss",
        "perplexity": "perplexity",
        "accuracy": "token accuracy",
        "rewards/accuracy": "answer pairs ranked right",
        "score": "score",
        "reward": "reward",
        "stop_rate": "answers that end",
        "kl": "KL to reference (nats)",
    },
)

CHINESE: Final = Texts(
    language="zh-TW",
    other_language="English",
    disclaimer=DISCLAIMERS["zh-TW"],
    welcome="想了解什麼？",
    welcome_more="請勿輸入姓名或任何能辨識病人身分的資料。",
    examples=(
        "腦中風有哪些警訊？發生時該怎麼辦？",
        "高血壓如何診斷與治療？",
        "第一型與第二型糖尿病有什麼不同？",
        "孩子發燒到 39 度，什麼時候該看醫師？",
    ),
    ask_here="輸入醫療相關問題 …",
    send="送出",
    stop="停止",
    clear="新對話",
    earlier="上一個回答",
    later="下一個回答",
    version="第 {number} 個回答，共 {of} 個",
    copied_as=("問題", "回答"),
    reading="正在讀取問題 …",
    waiting="模型正在回答其他人，輪到您時會立即開始 …",
    done="{tokens} 個詞元，每秒 {rate} 個",
    cut_off="回答到 {tokens} 個詞元就被截斷；可在設定中調高「回答長度上限」。",
    stopped="已停止。",
    empty="模型沒有給出回答。請換個說法，或再問一次。",
    dropped="最早的 {turns} 則訊息已放不進模型的上下文，這次沒有讀取。",
    greedy="溫度為 0 時，同樣的問題會得到同樣的回答；想要不同的回答，請調高溫度。",
    still_answering="模型還在回答，請先停止。",
    busy="模型正忙，等候的問題已滿。請稍後再送出。",
    failed="無法完成。",
    not_rendered="模型的對話模板不接受這段對話。",
    too_long="問題連同系統訊息共 {tokens} 個詞元；為回答保留 {room} 個後，只放得下 {limit} 個。請縮短問題，或調低「回答長度上限」。",
    no_room="「回答長度上限」設為 {room} 個詞元，但模型的問題與回答合計只有 {context} 個。請調低上限。",
    rated="謝謝，您的評價已存在這台機器上。",
    paired="您的評價已存在這台機器上。與其他回答組成的偏好資料：{pairs} 筆",
    rating_withdrawn="已收回評價。",
    not_rated="未儲存：這個回答不完整，模型若用它訓練，會學到話說一半就停。",
    who_answers="誰來回答",
    who_hint="選一個；選兩個或三個，會以字母代號並排回答，您評完才公布名稱。",
    choose_model="請在「誰來回答」選擇由哪個模型回答。",
    judge="哪個回答最好？選好後公布名稱。",
    judge_first="請先選出最好的回答，或略過。",
    best="{letter} 最好",
    tie="一樣好",
    all_bad="都不好",
    skip="略過",
    judged="已存在這台機器上；偏好資料：{pairs} 筆。",
    judged_unsaved="沒有儲存。",
    tally="目前最好的次數：{counts}。",
    kept="保留的對話",
    keep_this="保留這段對話",
    keep_hint="存在這台機器上只有擁有者能讀的資料夾；關閉就會從那裡刪除。",
    kept_search="搜尋",
    kept_list="找到 {count} 段",
    kept_open="開啟",
    kept_delete="刪除",
    kept_sure="確定刪除？",
    is_kept="這段對話會保留在這台機器上。",
    is_deleted="保留的對話已刪除。",
    kept_damaged="無法讀取的保留對話：{count} 段。",
    print="列印、PDF",
    settings="設定",
    emergency="急救電話",
    emergency_hint="您在哪裡？上方說明中的號碼會隨之改變；語言不能代表所在地。",
    not_chosen="未選擇：列出數個地區",
    system="系統訊息",
    system_hint="設定模型的角色，放在對話之前。",
    max_new_tokens="回答長度上限（詞元）",
    temperature="溫度",
    temperature_hint="0：永遠選最可能的詞。越高變化越多，也越容易出錯。",
    top_p="Top-p",
    top_k="Top-k",
    top_k_hint="0 表示關閉。",
    repetition_penalty="重複懲罰",
    seed="亂數種子",
    seed_hint="留空：每個回答都用新的種子。",
    seed_wrong="亂數種子須為 0 以上的整數；留空則每次使用新的種子。",
    about="關於這個模型",
    export="儲存對話",
    export_markdown="Markdown",
    export_json="JSON",
    export_hint="重新整理或關閉頁面後，對話不會保留。",
    feedback_hint="按讚與倒讚會連同到該回答為止的對話，一起存在這台機器上。",
    thoughts="推理過程",
    model="模型",
    model_version="版本",
    base="基礎模型",
    adapter="轉接器",
    stages="訓練階段",
    finished="完成時間",
    context="上下文長度",
    weights="權重",
    template="對話模板",
    license="授權",
    license_unknown="未載明，請見基礎模型的頁面",
    held_out="保留資料上的數字",
    before="訓練前",
    after="訓練後",
    no_run="這個模型不是來自訓練資料夾，因此沒有保留資料上的數字。",
    rows="保留資料 {rows} 列",
    named_tests="具名測驗答對的比例",
    meanings={
        "rewards/accuracy": "在多少比例的成對回答中，模型（與訓練前相比）認為較佳的回答比另一個更可能。"
        "這不表示它的回答在醫學上正確。",
    },
    metrics={
        "loss": "損失",
        "perplexity": "困惑度",
        "accuracy": "詞元正確率",
        "rewards/accuracy": "偏好正確率（成對回答）",
        "score": "分數",
        "reward": "獎勵",
        "stop_rate": "自行結束的回答",
        "kl": "與參考模型的 KL（nats）",
    },
)

TEXTS: Final[dict[Language, Texts]] = {"en": ENGLISH, "zh-CN": SIMPLIFIED, "zh-TW": CHINESE}

_TRADITIONAL = ("zh-tw", "zh-hk", "zh-mo", "zh-hant")


def preferred(accept_language: str) -> Texts:
    """The language of a browser, from the header it sends: the first of ours that it names."""
    for part in accept_language.lower().split(","):
        name = part.split(";")[0].strip()
        if name.startswith(_TRADITIONAL):
            return CHINESE
        if name.startswith("zh"):
            return SIMPLIFIED
        if name.startswith("en"):
            return ENGLISH
    return ENGLISH


def other(texts: Texts) -> Texts:
    """The next language."""
    order = list(TEXTS)
    return TEXTS[order[(order.index(texts.language) + 1) % len(order)]]


def with_emergency(texts: Texts, emergency: Emergency | None) -> Texts:
    """The same words with the number that the user chose, or with those of several regions."""
    base = TEXTS[texts.language]
    return base if emergency is None else replace(base, disclaimer=disclaimer(texts.language, emergency))
