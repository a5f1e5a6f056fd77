"""One loading path for every base model: embedded, folder or Hub; full precision or quantized; with or without adapters."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from transformers import AutoConfig, AutoTokenizer, BitsAndBytesConfig, PreTrainedConfig, PreTrainedTokenizerBase

from medicalgpt.config.sections import LoraConfig, ModelConfig
from medicalgpt.errors import MedicalGPTError, ModelError
from medicalgpt.hub.huggingface import hub_token
from medicalgpt.kernels import attention
from medicalgpt.kernels.collector import collect_again
from medicalgpt.kernels.device import multiplies_bfloat16, own_device
from medicalgpt.models.adapter_config import pinned_base
from medicalgpt.models.adapters import attach, require_writer, scores_answers
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.console import quiet, to_stderr
from medicalgpt.models.embeddings import grow, require_rows, resize
from medicalgpt.models.families import Architecture, identify
from medicalgpt.models.locate import Located, config_of, locate
from medicalgpt.models.quantized import for_cpu, located_kind, refuse_quantized
from medicalgpt.models.rope import RopeScaling, agreed, asked_of, stretch
from medicalgpt.models.stored import shorter_type
from medicalgpt.models.token_map import TokenMap
from medicalgpt.models.tokenizers import growth, own_place

Quantization = Literal["none", "int8", "nf4"]
HeadKind = Literal["language", "score"]
DeviceMap = Literal["auto"]
"""transformers' `device_map`, as far as it is offered here."""


@dataclass
class Loaded:
    """A model with its tokenizer. `base` is where the base weights came from, `adapter` the adapter's folder or None.

    `architecture` is the base's line in the table of families, `rope` how its positions were stretched. `widen` is the type that
    its weights are to get, where they were left in the shorter one of their files.
    """

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    base: Located
    adapter: Located | None = None
    architecture: Architecture | None = None
    token_map: TokenMap | None = None
    rope: RopeScaling | None = None
    widen: torch.dtype | None = None


def pick_dtype(wanted: str) -> torch.dtype:
    """Weight type: what was asked for, or bfloat16 where the hardware multiplies it natively, else float32.

    float16 is never chosen by itself: models trained in bfloat16 overflow in it, the usual cause of NaN losses.
    """
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[wanted]
    return torch.bfloat16 if multiplies_bfloat16() else torch.float32


def load_tokenizer(where: str, trust_remote_code: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer in a folder."""
    try:
        return AutoTokenizer.from_pretrained(where, token=hub_token(), trust_remote_code=trust_remote_code)
    except MedicalGPTError:
        raise
    except Exception as error:  # a damaged tokenizer.json raises a bare Exception, a damaged config what it leads to
        raise ModelError(f"{where}: no usable tokenizer: {_said(error)}; copy or download the model again") from error


def _said(error: Exception) -> str:
    """The beginning of what a library says; the kind of error with it, where the words alone may be a mere key."""
    words = str(error)[:2_000]
    return words if isinstance(error, (OSError, ValueError)) and words else f"{type(error).__name__}: {words}"


def find(config: ModelConfig, tokenizer: str | None = None) -> tuple[Located, Located | None, PreTrainedTokenizerBase]:
    """Where base and adapter lie, and the tokenizer; nothing heavy is loaded. Raises ModelError as `load`.

    Args:
        tokenizer: folder or address of another tokenizer than the adapter's or base's own.
    """
    found = locate(config.base, config.at, config.trust_remote_code)
    adapter = locate(config.adapter, config.adapter_commit, config.trust_remote_code) if config.adapter else None
    if adapter and not adapter.is_adapter:
        raise ModelError(f"model.adapter={config.adapter} is not an adapter (it has no adapter_config.json)")
    if found.is_adapter:
        if adapter:
            raise ModelError(
                f"model.base={config.base} is an adapter already; give model.adapter or an adapter as base, not both"
            )
        found, adapter = (
            locate(pinned_base(found, config.below.get), None, config.trust_remote_code),
            found,
        )
    place = own_place(config, adapter, tokenizer)
    return found, adapter, load_tokenizer(place or found.folder, config.trust_remote_code)


def find_token_map(
    config: ModelConfig,
    base: Located,
    adapter: Located | None,
    tokenizer: PreTrainedTokenizerBase,
    asked: str | None = None,
    resizes: bool = False,
) -> TokenMap | None:
    """The map by which the base grows for what `find` gave; None where nothing is to grow by a map.

    Args:
        tokenizer: the loaded one.
        asked: what `find` was given as `tokenizer`.
        resizes: whether embeddings will be resized where there is no map.

    Raises:
        ModelError: a tokenizer of another vocabulary without a map from the base's.
    """

    def read(where: str) -> PreTrainedTokenizerBase:
        return load_tokenizer(where, config.trust_remote_code)

    return growth(config, base, adapter, tokenizer, read, asked, resizes)


def load(
    config: ModelConfig,
    quantization: Quantization = "none",
    lora: LoraConfig | None = None,
    head: HeadKind = "language",
    *,
    family: str = "auto",
    tokenizer: str | None = None,
    resize_embeddings: bool = False,
    device_map: DeviceMap | None = None,
    as_stored: bool = False,
    say: Callable[[str], None] = to_stderr,
) -> Loaded:
    """Load base, tokenizer and adapters.

    Args:
        lora: settings of a new trainable adapter, or None for no new adapter (inference, or full training).
        head: "score" for a reward model: one number instead of a distribution over the vocabulary.
        family: the model family that the base must be of (models/families.py); "auto" takes any.
        tokenizer: as for `find`.
        resize_embeddings: give the base one embedding a token of the tokenizer before the adapter is put on it; where a
                token map lies beside the tokenizer or adapter, the base grows by that without being asked.
        device_map: "auto" lays the layers over all GPUs that are there, for a model that one of them cannot hold.
        as_stored: leave the weights in their files' type, where all its values are those of the wanted one, for a process that
                keeps a part of them and widens that (`Loaded.widen`). Not with a score head, which may be made up here.
        say: hears what was done to the embeddings.

    Raises:
        ModelError: nothing at that place, unsafe weights, a base of another family, or quantization without its library.
    """
    quiet()
    found, adapter, own_tokenizer = find(config, tokenizer)
    if adapter is not None:
        _check_head(adapter, head)
    _check_quantized(found, quantization, lora, adapter)
    architecture = identify(config_of(found), family, found.name)
    token_map = find_token_map(config, found, adapter, own_tokenizer, tokenizer, resize_embeddings)
    rope = agreed(asked_of(config), adapter)
    wanted = pick_dtype(config.dtype)
    plain = as_stored and quantization == "none" and head == "language" and located_kind(found) is None
    shorter = shorter_type(found, wanted) if plain else None
    collect_again()  # before there is a model, which must not stay for good
    model = load_base(found, config, quantization, head, architecture, device_map, rope, shorter)
    if token_map is not None:
        grow(unwrap(model), token_map)
    elif resize_embeddings:
        resize(unwrap(model), len(own_tokenizer), say)
    elif config.tokenizer or adapter is not None:
        require_rows(model, own_tokenizer)
    if lora is not None or adapter is not None:
        model = attach(model, lora, adapter, quantized=quantization != "none", head=head, token_map=token_map)
    widen = None if shorter is None else wanted
    return Loaded(model, own_tokenizer, found, adapter, architecture, token_map, rope, widen)


def _check_quantized(
    found: Located, quantization: Quantization, lora: LoraConfig | None, adapter: Located | None
) -> None:
    """Weights that were quantized once and saved answer as they are: no training, no adapters of ours, no second rounding."""
    kind = located_kind(found)
    if kind is None:
        return
    if lora is not None:
        refuse_quantized(found, "be trained")
    if quantization != "none":
        raise ModelError(f"{found.name} has quantized weights already ({kind}); leave quantization={quantization} out")
    if adapter is not None and for_cpu(kind):
        refuse_quantized(found, f"be given the adapter {adapter.name}")


def _check_head(adapter: Located, head: HeadKind) -> None:
    """A reward model's adapter answers nothing, and a chat model's scores nothing; starting one from the other is refused."""
    if head == "language":
        require_writer(adapter)
    elif not scores_answers(adapter):
        raise ModelError(
            f"{adapter.name} is a language model's adapter, not a reward model's; give a reward model here, or merge "
            "the adapter first when a reward model is to start from it"
        )


def load_base(
    found: Located,
    config: ModelConfig,
    quantization: Quantization = "none",
    head: HeadKind = "language",
    architecture: Architecture | None = None,
    device_map: DeviceMap | None = None,
    rope: RopeScaling | None = None,
    dtype: torch.dtype | None = None,
) -> nn.Module:
    """The base model with tree attention where it goes through transformers' attention interface.

    Args:
        rope: how its positions are stretched.
        dtype: of its weights; None: what the config says.
    """
    import transformers

    kind = located_kind(found)
    # Scales are kept in fp32, and the products give it.
    dtype = torch.float32 if for_cpu(kind) else dtype or pick_dtype(config.dtype)
    options: dict[str, Any] = {
        "token": hub_token(),
        "dtype": dtype,
        "use_safetensors": True,
        "trust_remote_code": config.trust_remote_code,
    }
    if quantization != "none":
        options["quantization_config"] = _quantizer(quantization, dtype)
    if quantization != "none" or (kind is not None and not for_cpu(kind)):
        options["device_map"] = {"": str(own_device())}
    if device_map is not None:
        options["device_map"] = device_map
    if rope is not None:
        options["config"] = _stretched(found, config, rope)
    own = config_of(found)
    auto: Any = getattr(transformers, (architecture or identify(own)).loads)
    if head == "score":
        auto = transformers.AutoModelForSequenceClassification
        options["num_labels"] = 1
    elif names_classifier(own.get("architectures")):
        raise ModelError(f"{found.name} is a reward model; it scores answers (medicalgpt score) and writes none")
    try:
        model, info = auto.from_pretrained(found.complete(), output_loading_info=True, **options)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # transformers raises what a damaged value leads to
        raise ModelError(f"{found.name} cannot be loaded: {_said(error)}") from error
    _check_all_there(found, head, info["missing_keys"])
    attention.enable(model)
    base: nn.Module = model
    return base


def _stretched(found: Located, config: ModelConfig, scaling: RopeScaling) -> PreTrainedConfig:
    """The base's config with positions for a longer context."""
    where = {"token": hub_token(), "trust_remote_code": config.trust_remote_code}
    own: PreTrainedConfig = AutoConfig.from_pretrained(found.folder, **where)
    stretch(own, scaling, found.name)
    return own


def _check_all_there(found: Located, head: HeadKind, missing: Iterable[str]) -> None:
    """transformers makes up weights that a file lacks; only a new reward model's score layer may be made up."""
    lost = sorted(name for name in missing if not (head == "score" and name.startswith("score.")))
    if lost:
        raise ModelError(
            f"{found.name} is only half there: {len(lost)} weights of its architecture are in none of its files, "
            f"among them {lost[0]}; copy or download the model again"
        )


def names_classifier(architectures: object) -> bool:
    """Whether a config's `architectures` say that its weights are a classifier's, score layer included."""
    names = architectures if isinstance(architectures, list) else []
    return any(str(name).endswith("ForSequenceClassification") for name in names)


def _quantizer(quantization: Quantization, dtype: torch.dtype) -> BitsAndBytesConfig:
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f"quantization={quantization} needs bitsandbytes; install it with: pip install 'medicalgpt[quant]'"
        ) from error
    if quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
