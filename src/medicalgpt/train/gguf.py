"""`medicalgpt export gguf`: find a model, merge its adapter where it has one, write the file."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from medicalgpt.config.sections import ModelConfig
from medicalgpt.errors import ModelError
from medicalgpt.models.adapters import is_adapted
from medicalgpt.models.gguf_write import Exported, GgufType, check_target, write_gguf
from medicalgpt.models.load import load
from medicalgpt.render.template import ChatTemplate, stop_ids
from medicalgpt.train.merged import fold_checked


def export_gguf(
    config: ModelConfig,
    path: Path,
    kind: GgufType,
    *,
    template: str | None = None,
    pre: str | None = None,
    overwrite: bool = False,
) -> Exported:
    """Load a model, merge its adapter where it has one, and write it as a GGUF file.

    Args:
        template: a chat template's name or file; default: the model's own, or none for a base model.

    Raises:
        ModelError: as `load`, `fold` and `write_gguf`, or a merge that changes what the model says.
        RenderError: the template does not fit the tokenizer.
    """
    check_target(path, kind, overwrite)
    loaded = load(config)
    notes = []
    if is_adapted(loaded.model):
        loaded.model, merged = fold_checked(loaded.model)
        notes.append(f"the adapter was merged first: {merged.summary()}")
    tokenizer: Any = loaded.tokenizer
    chosen = ChatTemplate.load(tokenizer, template) if template or tokenizer.chat_template else None
    if chosen is None:
        notes.append("no chat template: a base model; name one with --template to chat with it")
    if tokenizer.eos_token_id is None:
        raise ModelError("the tokenizer has no eos token, so the exported model could never stop; set one first")
    ends = stop_ids(chosen, loaded.model.generation_config) if chosen else [tokenizer.eos_token_id]
    source = chosen.source if chosen else None
    name = Path(config.base).resolve().name
    written = write_gguf(
        loaded.model, tokenizer, path, kind, stop_ids=ends, template=source, name=name, pre=pre, overwrite=overwrite
    )
    return replace(written, notes=[*notes, *written.notes])
