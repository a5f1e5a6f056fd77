"""One loading path for every base model: embedded, folder or Hub; full precision or quantised; with or without adapters."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from medicalgpt.config.sections import LoraConfig, ModelConfig
from medicalgpt.errors import ModelError
from medicalgpt.models import attention
from medicalgpt.models.adapters import attach, read_adapter
from medicalgpt.models.heap import keep_heap
from medicalgpt.models.hub import hub_token
from medicalgpt.models.locate import Located, locate
from medicalgpt.models.quiet import quiet
from medicalgpt.models.vocabulary.choose import check_rows, growth, own_folder
from medicalgpt.models.vocabulary.resize import resize, rows_of
from medicalgpt.models.vocabulary.token_map import TokenMap

Quantization = Literal["none", "int8", "nf4"]
Head = Literal["language", "score"]


@dataclass
class Loaded:
    """A model with its tokenizer. `base` is where the base weights came from, `adapter` the adapter's folder or None."""

    model: nn.Module
    tokenizer: Any
    base: Located
    adapter: Located | None = None
    token_map: TokenMap | None = None
    """By which the base was resized for the tokenizer."""


def pick_dtype(wanted: str) -> torch.dtype:
    """Weight type: what was asked for, or bfloat16 where the hardware multiplies it natively, else float32.

    float16 is never chosen by itself: models trained in bfloat16 overflow in it, the usual cause of NaN losses.
    """
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[wanted]
    if torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float32


def load_tokenizer(where: str, revision: str | None = None, trust_remote_code: bool = False) -> Any:
    """The tokenizer of a located model."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(
            where, revision=revision, token=hub_token(), trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise ModelError(f"{where}: no usable tokenizer: {error}") from error


def find(config: ModelConfig) -> tuple[Located, Located | None, Any]:
    """Where base and adapter lie, and the tokenizer; nothing heavy is loaded. Raises ModelError as `load`."""
    found = locate(config.base, config.revision, config.trust_remote_code)
    adapter = locate(config.adapter, None, config.trust_remote_code) if config.adapter else None
    if adapter and adapter.kind not in ("adapter", "hub-adapter"):
        raise ModelError(f"model.adapter={config.adapter} is not an adapter (it has no adapter_config.json)")
    if found.kind in ("adapter", "hub-adapter"):
        if adapter:
            raise ModelError(
                f"model.base={config.base} is an adapter already; give model.adapter or an adapter as base, not both"
            )
        found, adapter = locate(read_adapter(found)["base_model_name_or_path"], None, config.trust_remote_code), found
    own = own_folder(config, adapter)
    where = found.path_or_id if own is None else str(own)
    return found, adapter, load_tokenizer(where, found.revision, config.trust_remote_code)


def find_token_map(config: ModelConfig, base: Located, adapter: Located | None, tokenizer: Any) -> TokenMap | None:
    """The map by which the base grows for what `find` gave; None where it has that vocabulary already.

    Raises:
        ModelError: a tokenizer of another vocabulary without a map from the base's.
    """

    def read(where: str) -> Any:
        return load_tokenizer(where, base.revision if where == base.path_or_id else None, config.trust_remote_code)

    return growth(config, base, own_folder(config, adapter), tokenizer, read)


def load(
    config: ModelConfig, quantization: Quantization = "none", lora: LoraConfig | None = None, head: Head = "language"
) -> Loaded:
    """Load base, tokenizer and adapters.

    Args:
        lora: settings of a new trainable adapter, or None for no new adapter (inference, or full training).
        head: "score" for a reward model: one number instead of a distribution over the vocabulary.

    Raises:
        ModelError: nothing at that place, unsafe weights, or quantisation without its library.
    """
    quiet()
    found, adapter, tokenizer = find(config)
    if adapter is not None:
        _check_head(adapter, head)
    token_map = find_token_map(config, found, adapter, tokenizer)
    model = load_base(found, config, quantization, head)
    if token_map is not None:
        resize(model, token_map)
    elif config.tokenizer or adapter is not None:
        check_rows(tokenizer, rows_of(model), found)
    if lora is not None or adapter is not None:
        model = attach(model, lora, adapter, quantized=quantization != "none", head=head, token_map=token_map)
    return Loaded(model, tokenizer, found, adapter, token_map)


def _check_head(adapter: Located, head: Head) -> None:
    """A reward model's adapter answers nothing, and a chat model's scores nothing; starting one from the other is refused."""
    scores = read_adapter(adapter).get("task_type") == "SEQ_CLS"
    if scores and head == "language":
        raise ModelError(
            f"{adapter.path_or_id} is a reward model; it scores answers (medicalgpt score) and writes none"
        )
    if not scores and head == "score":
        raise ModelError(
            f"{adapter.path_or_id} is a language model's adapter, not a reward model's; give a reward model here, or merge "
            "the adapter first when a reward model is to start from it"
        )


def load_base(
    found: Located, config: ModelConfig, quantization: Quantization = "none", head: Head = "language"
) -> nn.Module:
    """The base model with tree attention where it goes through transformers' attention interface."""
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    dtype = pick_dtype(config.dtype)
    options: dict[str, Any] = {
        "revision": found.revision,
        "token": hub_token(),
        "dtype": dtype,
        "use_safetensors": True,
        "trust_remote_code": config.trust_remote_code,
    }
    if quantization != "none":
        options["quantization_config"] = _quantizer(quantization, dtype)
        options["device_map"] = {"": torch.cuda.current_device() if torch.cuda.is_available() else "cpu"}
    auto: Any = AutoModelForCausalLM
    if head == "score":
        auto = AutoModelForSequenceClassification
        options["num_labels"] = 1
    elif _is_classifier(found):
        raise ModelError(f"{found.path_or_id} is a reward model; it scores answers (medicalgpt score) and writes none")
    try:
        model = auto.from_pretrained(found.path_or_id, **options)
    except (OSError, ValueError) as error:
        raise ModelError(f"{found.path_or_id} cannot be loaded: {error}") from error
    attention.enable(model)
    if not torch.cuda.is_available():
        keep_heap()
    return model  # type: ignore[no-any-return]


def _is_classifier(found: Located) -> bool:
    """Whether a local model's config names a sequence classifier."""
    path = Path(found.path_or_id) / "config.json"
    if not path.is_file():
        return False
    return names_classifier(json.loads(path.read_text(encoding="utf-8")).get("architectures"))


def names_classifier(architectures: list[str] | None) -> bool:
    """Whether a config's `architectures` say that its weights are a classifier's, score layer included."""
    return any(str(name).endswith("ForSequenceClassification") for name in architectures or [])


def _quantizer(quantization: Quantization, dtype: torch.dtype) -> Any:
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f"quantization={quantization} needs bitsandbytes; install it with: pip install 'medicalgpt[quant]'"
        ) from error
    from transformers import BitsAndBytesConfig

    if quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
