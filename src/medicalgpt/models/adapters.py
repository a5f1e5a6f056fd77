"""LoRA adapters through peft: attaching, continuing, switching off for the reference, saving."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from medicalgpt.config.sections import LoraConfig
from medicalgpt.errors import ModelError
from medicalgpt.models.adapter_config import read_adapter
from medicalgpt.models.adapter_weights import restore_weights
from medicalgpt.models.causal_lm import CausalLM, head_name, output_head, unwrap
from medicalgpt.models.embeddings import trained_rows
from medicalgpt.models.excluded_modules import excluded_modules
from medicalgpt.models.families import identify
from medicalgpt.models.locate import Located
from medicalgpt.models.rope import FILE as ROPE_FILE
from medicalgpt.models.rope import scaling_of
from medicalgpt.models.token_map import TokenMap
from medicalgpt.models.whole_modules import require_modules, whole_modules

if TYPE_CHECKING:  # peft is imported where there are adapters only
    from peft import LoraConfig as PeftLora
    from peft import PeftModel
    from peft.tuners.trainable_tokens import TrainableTokensLayer


def scores_answers(adapter: Located) -> bool:
    """Whether an adapter is a reward model's, which scores answers and writes none."""
    return bool(read_adapter(adapter).get("task_type") == "SEQ_CLS")


def require_writer(adapter: Located) -> None:
    """Refuse a reward model's adapter where answers are to be written. Raises ModelError."""
    if scores_answers(adapter):
        raise ModelError(f"{adapter.name} is a reward model; it scores answers (medicalgpt score) and writes none")


def attach(
    model: nn.Module,
    lora: LoraConfig | None,
    adapter: Located | None,
    quantized: bool,
    head: str = "language",
    token_map: TokenMap | None = None,
) -> nn.Module:
    """Put a trained adapter on the base, or a new one; trainable only when `lora` is given.

    A new one also trains the rows of the tokens that `token_map` added.

    Raises:
        ModelError: target modules that the model does not have, a PiSSA start on quantized weights, or an adapter that is no
            adapter on layers.
    """
    from peft import PeftModel, get_peft_model, prepare_model_for_kbit_training

    if quantized and lora is not None:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    if adapter is not None:
        try:
            adapted = PeftModel.from_pretrained(model, adapter.folder, is_trainable=lora is not None)
            restore_weights(adapted, adapter)
        except Exception as error:  # peft raises what a damaged config or weight file leads to
            raise _misfit(adapter, error) from error
        _require_layers(adapted, adapter)
        if lora is None:
            write_token_rows(adapted)
        return adapted
    assert lora is not None
    if quantized and lora.variant == "pissa":
        raise ModelError(
            "lora.variant=pissa starts from the singular vectors of full-precision weights; set quantization=none"
        )
    names = linear_names(model)  # asked later, peft's own layers would be among them
    require_modules(model, lora)
    try:
        adapted = get_peft_model(model, _peft_config(model, lora, head, token_map))
    except (ValueError, TypeError) as error:
        raise ModelError(
            f"lora.target_modules={lora.target_modules} does not fit this model: {error}. Its linear layers are "
            f"{', '.join(names)}; all-linear takes them all"
        ) from error
    if isinstance(lora.target_modules, list):
        _require_met(adapted, lora.target_modules, names)
    return adapted


def _require_layers(adapted: nn.Module, adapter: Located) -> None:
    """Refuse an adapter that puts tokens of its own before a text: positions and packed rows would be others than we count."""
    config = peft_model(adapted).active_peft_config
    if config.is_prompt_learning:
        kind = read_adapter(adapter).get("peft_type")
        raise ModelError(
            f"{adapter.name} is an adapter of kind {kind}, which puts tokens of its own before every text; allowed "
            "are adapters on layers (LORA, OFT, IA3, LOHA, LOKR, VERA, HRA)"
        )


def _require_met(adapted: nn.Module, wanted: Sequence[str], names: Sequence[str]) -> None:
    """peft is content when one name of a list fits; each of them must, or it would be a setting without effect."""
    from peft.tuners.lora import LoraLayer

    met = [name for name, module in unwrap(adapted).named_modules() if isinstance(module, LoraLayer)]
    lost = [name for name in wanted if not any(f".{place}".endswith(f".{name}") for place in met)]
    if lost:
        raise ModelError(
            f"lora.target_modules: no layer that can learn is called {', '.join(lost)}. This model's linear layers are "
            f"{', '.join(names)}; take the name out, or correct it"
        )


def _misfit(adapter: Located, error: Exception) -> ModelError:
    """An adapter whose layers or shapes are not those of the base."""
    text = str(error) if isinstance(error, (RuntimeError, ValueError)) else f"{type(error).__name__}: {error}"
    resized = "size mismatch" in text and any(name in text for name in ("embed", "lm_head", "wte"))
    hint = (
        " Its embeddings have another number of tokens: it was trained with another tokenizer; give that one with "
        "--resize-embeddings (--resize_emb)."
        if resized
        else ""
    )
    first = next((line.strip() for line in text.splitlines() if "size mismatch" in line), text.partition("\n")[0])
    return ModelError(f"{adapter.name} does not fit this base model: {first[:200]}.{hint}")


def _targets(model: nn.Module, lora: LoraConfig) -> str | list[str]:
    """Layers that get an adapter, as peft wants them; of the family's those that this model has."""
    if lora.target_modules != "family":
        return lora.target_modules
    listed = identify(unwrap(model).config.to_dict()).lora_targets
    if isinstance(listed, str):
        return listed
    there = set(linear_names(unwrap(model)))
    return [name for name in listed if name in there]


def _peft_config(model: nn.Module, lora: LoraConfig, head: str, token_map: TokenMap | None = None) -> "PeftLora":
    from peft import LoraConfig as PeftLora

    return PeftLora(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # declared as whole, computed as a fraction
        lora_dropout=lora.dropout,
        target_modules=_targets(model, lora),
        exclude_modules=excluded_modules(model) or None,
        use_rslora=lora.variant == "rslora",
        use_dora=lora.variant == "dora",
        init_lora_weights="pissa" if lora.variant == "pissa" else True,
        task_type="SEQ_CLS" if head == "score" else "CAUSAL_LM",  # SEQ_CLS trains and saves the score layer as well
        **(trained_rows(unwrap(model), token_map) if token_map else whole_modules(unwrap(model), lora.modules_to_save)),
    )


def _token_layers(model: nn.Module) -> list["TrainableTokensLayer"]:
    """peft's layers that hold trained rows of an embedding or a head."""
    from peft.tuners.trainable_tokens import TrainableTokensLayer

    return [m for m in model.modules() if isinstance(m, TrainableTokensLayer)]


def write_token_rows(model: nn.Module) -> None:
    """Put trained token rows into the matrices themselves; peft would copy the matrices at every call to do it there."""
    for layer in _token_layers(model):
        layer.merge()


def take_out_token_rows(model: nn.Module) -> None:
    """Undo `write_token_rows`; peft then puts them in as it goes."""
    for layer in _token_layers(model):
        if layer.merged:
            layer.unmerge()


def stores_token_rows(model: nn.Module) -> bool:
    """Whether the adapter holds rows of new tokens, so that the resized matrices need not be stored beside it."""
    return bool(_token_layers(model))


def add_fresh(model: nn.Module, name: str, lora: LoraConfig) -> None:
    """A second adapter that starts from nothing, beside the one that is there; not on the head, whose output it never uses.

    Raises:
        ModelError: its layers would be none but the head.
    """
    config = _peft_config(model, lora.model_copy(update={"modules_to_save": []}), "language")
    head = head_name(model)
    if head is not None and isinstance(lora.target_modules, list):
        config.exclude_modules = [*(config.exclude_modules or []), head]
    try:
        peft_model(model).add_adapter(name, config)
    except ValueError as error:
        raise ModelError(
            f"lora.target_modules={lora.target_modules} leaves no layer for the {name}, which does not use the head; name "
            "another one, or take all-linear"
        ) from error


def add_trained(model: nn.Module, name: str, adapter: Located) -> None:
    """A trained adapter beside the one that is there; `adapter_on` selects it.

    Raises:
        ModelError: as `check_switchable`, or its layers are not those of this model.
    """
    check_switchable(adapter)
    try:
        peft_model(model).load_adapter(adapter.folder, adapter_name=name, is_trainable=False)
        restore_weights(model, adapter, name)
    except Exception as error:
        raise _misfit(adapter, error) from error


def check_switchable(adapter: Located) -> None:
    """Refuse an adapter that cannot lie beside others: one that changes the base's own weights, or scores answers.

    Raises:
        ModelError: saying which.
    """
    require_writer(adapter)
    config, where = read_adapter(adapter), adapter.folder
    also = [key for key in ("modules_to_save", "trainable_token_indices") if config.get(key)]
    also += [ROPE_FILE] if scaling_of(adapter) is not None else []
    also += ["bias"] if config.get("bias", "none") != "none" else []
    if also:
        raise ModelError(
            f"{where} changes weights of the base itself ({', '.join(also)}), which the other adapters would be given, "
            "too; serve it alone"
        )


def can_share(adapter: Located) -> bool:
    """Whether a reward model's adapter folder can be put on another head's base: plain LoRA, score layer saved with it."""
    config = read_adapter(adapter)
    plain = config.get("peft_type") == "LORA" and not config.get("use_dora") and config.get("bias", "none") == "none"
    plain = plain and not config.get("trainable_token_indices") and not _saves_more_than_scores(config)
    return adapter.kind == "adapter" and plain and scores_answers(adapter)


def _saves_more_than_scores(config: Mapping[str, object]) -> bool:
    """Whether an adapter also trained modules of the base; peft itself names the two that a reward model may have."""
    whole = config.get("modules_to_save")
    return isinstance(whole, list) and not {"classifier", "score"}.issuperset(whole)


def add_scorer(model: nn.Module, name: str, adapter: Located) -> torch.Tensor:
    """Put a reward model's adapter beside those of a language model on the same base; returns its score weight [1, D].

    Raises:
        ModelError: the adapter's layers are not those of this model.
    """
    from peft import LoraConfig as PeftLora
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    try:
        config = PeftLora.from_pretrained(adapter.folder)
        weights = load_file(Path(adapter.folder) / "adapter_model.safetensors")
    except Exception as error:
        raise _misfit(adapter, error) from error
    config.task_type, config.modules_to_save, config.lora_dropout = "CAUSAL_LM", None, 0.0
    heads = [key for key in weights if key.endswith("score.weight")]
    if len(heads) != 1:
        raise ModelError(f"{adapter.name} holds {len(heads)} score layers; a reward model has one")
    score = weights.pop(heads[0])
    peft_model(model).add_adapter(name, config)
    found: Any = set_peft_model_state_dict(model, weights, adapter_name=name)  # a named tuple of torch without a type
    lost = [key for key in found.missing_keys if f".{name}." in key] + list(found.unexpected_keys)
    if lost:
        raise ModelError(f"{adapter.name} does not fit this model; first layer that differs: {lost[0]}")
    return score


def linear_names(model: nn.Module | CausalLM) -> list[str]:
    """Last path components of the model's linear layers, the head left out."""
    head = output_head(model)
    return sorted(
        {n.rsplit(".", 1)[-1] for n, m in model.named_modules() if isinstance(m, nn.Linear) and m is not head}
    )


def is_adapted(model: nn.Module) -> bool:
    """Whether the model carries peft adapters."""
    return hasattr(model, "peft_config")


def on_head(model: nn.Module) -> bool:
    """Whether the head carries a LoRA adapter. Read as a matrix it would leave the adapter out, and train nothing of it."""
    if not is_adapted(model):
        return False
    from peft.tuners.lora import LoraLayer

    head = output_head(unwrap(model))
    return head is not None and any(isinstance(part, LoraLayer) for part in head.modules())


def peft_model(model: nn.Module) -> "PeftModel":
    """The model as peft's own type.

    Raises:
        ModelError: it carries no adapters.
    """
    from peft import PeftModel

    if not isinstance(model, PeftModel):
        raise ModelError(f"a {type(model).__name__} carries no adapters; attach one first (models.adapters.attach)")
    return model


@contextlib.contextmanager
def adapter_off(model: nn.Module) -> Iterator[None]:
    """The frozen base alone: the reference policy when the adapter started from nothing. What is trained stays so.

    peft switches adapters on again by making one of them active, which freezes every other: a critic would stop learning.
    """
    if not is_adapted(model):
        raise ModelError("there is no adapter to switch off; use objective.reference=model or cached")
    trained = _trained(model)
    take_out_token_rows(model)  # the head is read without a forward pass, where peft would notice by itself
    try:
        with peft_model(model).disable_adapter():
            _restore_trained(model, trained)
            yield
    finally:
        _restore_trained(model, trained)


@contextlib.contextmanager
def adapter_on(model: nn.Module, name: str) -> Iterator[None]:
    """Another adapter of the model is the active one inside. What is trained stays what it was.

    peft's own switch freezes every adapter but the active one; two adapters that are trained in turn need both kept.
    """
    before = peft_model(model).active_adapter
    if before == name:
        yield
        return
    trained = _trained(model)
    _activate(model, name, trained)
    try:
        yield
    finally:
        _activate(model, before, trained)


def _activate(model: nn.Module, name: str, trained: set[str]) -> None:
    peft_model(model).set_adapter(name)
    _restore_trained(model, trained)


def _trained(model: nn.Module) -> set[str]:
    """By name: of a sharded weight another tensor may lie in its place by the time it is restored."""
    return {name for name, p in model.named_parameters() if p.requires_grad}


def _restore_trained(model: nn.Module, trained: set[str]) -> None:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained)


def trainable(model: nn.Module) -> dict[str, torch.nn.Parameter]:
    """Parameters that are trained, by name."""
    return {n: p for n, p in model.named_parameters() if p.requires_grad}
