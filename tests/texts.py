"""Small tokenizers of the two great kinds, and conversations of every shape."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from medicalgpt.data.records import Dialogue, Message, Source
from tests.tiny import CORPUS

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<pad>",
    "<s>",
    "</s>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
)
# What the named templates of this family or that write as single tokens.
FAMILIES = (
    *("<reserved_102>", "<reserved_103>", "<reserved_106>", "<reserved_107>"),
    *("[gMASK]", "<sop>", "sop", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
    *("<|System|>", "<|User|>", "<|Bot|>", "<eoa>", "<|end|>", "<|EOT|>"),
    *("<｜User｜>", "<｜Assistant｜>", "<start_of_turn>", "<end_of_turn>"),
    *("<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|SYSTEM_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>"),
)
ROLES = [" ASSISTANT: The", "assistant\nThe", "user\nWhat", "### Response:\nThe", "\n\n", "\n\n\n", "\n \n"]


@lru_cache
def byte_level(eos: str | None = "<|im_end|>", bos: str | None = None, special: Sequence[str] = SPECIAL) -> Any:
    """Byte-level BPE (GPT-2, Llama 3, Qwen); `bos` is put before plain text, as Llama 3 does."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )
    inner.train_from_iterator((CORPUS + ROLES) * 5, trainer)
    return _finish(inner, eos, bos)


@lru_cache
def metaspace(
    scheme: str = "first", eos: str = "</s>", bos: str | None = "<s>", special: Sequence[str] = SPECIAL
) -> Any:
    """SentencePiece-like BPE with byte fallback (Llama 2, Mistral): texts get a space in front, by `scheme`."""
    inner = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=True)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    inner.decoder = decoders.Sequence(steps)
    reserved = ["<unk>", *special, *(f"<0x{i:02X}>" for i in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=reserved, show_progress=False)
    inner.train_from_iterator((CORPUS + ROLES) * 5, trainer)
    return _finish(_ordinary_bytes(inner), eos, bos)


def _ordinary_bytes(inner: Tokenizer) -> Tokenizer:
    """Byte tokens are ordinary ones, which training can only reserve as special ones."""
    data = json.loads(inner.to_str())
    data["added_tokens"] = [t for t in data["added_tokens"] if not t["content"].startswith("<0x")]
    return Tokenizer.from_str(json.dumps(data))


def _finish(inner: Tokenizer, eos: str | None, bos: str | None) -> Any:
    if bos:
        inner.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, inner.token_to_id(bos))]
        )
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=eos, bos_token=bos, pad_token="<pad>")


def user(text: str) -> Message:
    return Message("user", text)


def says(text: str) -> Message:
    return Message("assistant", text)


SHAPES: dict[str, tuple[Message, ...]] = {
    "single": (user("What is a fever?"), says("38 degrees or more.")),
    "system": (Message("system", "Be brief."), user("What is a fever?"), says("38 degrees or more.")),
    "turns": (
        user("What is a fever?"),
        says("38 degrees."),
        user("And a cough?"),
        says("Air."),
        user("Why?"),
        says("So."),
    ),
    "system turns": (Message("system", "Be brief."), user("Fever?"), says("38."), user("Cough?"), says("Air.")),
    "newline": (user("What is a fever?"), says("\n38 degrees or more."), user("Cough?"), says("\n\nAir.")),
    "space": (user("What is a fever?"), says(" 38 degrees or more."), user("Cough?"), says("  Air.")),
    "trailing": (user("What is a fever?\n"), says("38 degrees or more.\n"), user("Cough? "), says("Air.  ")),
    "Chinese": (
        user("高血壓的症狀？"),
        says("包括頭痛。請諮詢醫師。"),
        user("发烧怎么办"),
        says("多喝水，必要时就医。"),
    ),
    "emoji": (user("🤒?"), says("🤒 38 °C – naïve café ﬁ"), user("1\u00a02"), says("\u3000全形，半形,")),
    "markup": (user("<b>?</b> {{x}}"), says("{% if %} <s > [INST] ### User: x\n```py\n\tx = 1\n```")),
    "many breaks": (user("a\n\n\nb"), says("\n\n\n- one\n\n- two\n\n\n"), user("\n"), says("x")),
}


def dialogue(shape: str) -> Dialogue:
    return Dialogue(SHAPES[shape], Source("shapes", 1))
