"""A model as a Hugging Face folder."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from medicalgpt.export.read_back import check_saved
from medicalgpt.models.adapter_config import write_base
from medicalgpt.models.adapters import is_adapted, peft_model, stores_token_rows
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.load import Loaded
from medicalgpt.models.rope import write_scaling
from medicalgpt.models.tokenizer_files import save_tokenizer
from medicalgpt.rendering.template import ChatTemplate

_LARGEST_FILE = "5GB"
"""What safetensors copies once more into main memory while it writes; a larger model is several files with an index."""


def save_model(folder: Path, loaded: Loaded, template: ChatTemplate) -> None:
    """Adapter or full weights with tokenizer, chat template and every stop token, in Hugging Face layout, read back.

    Raises:
        ModelError: a tensor is not on the disk as it is in memory.
    """
    model = loaded.model
    inner = unwrap(model)
    implementation = inner.config._attn_implementation
    if inner.can_generate():
        generation = inner.generation_config
        generation.eos_token_id = template.stop_ids
        generation.pad_token_id = template.pad_id
        generation.save_pretrained(str(folder))
    else:
        # transformers' classifiers read their score at the last token that is not padding.
        inner.config.pad_token_id = template.pad_id
    write: Callable[..., None] = inner.save_pretrained
    chosen: dict[str, object] = {"max_shard_size": _LARGEST_FILE}
    if is_adapted(model):
        # The critic's and the reward model's adapters may lie on the same base; the active one is the policy's.
        write, chosen = peft_model(model).save_pretrained, {"selected_adapters": [peft_model(model).active_adapter]}
        if loaded.token_map is not None:
            loaded.token_map.write(folder)
        if loaded.token_map is None or stores_token_rows(model):
            # Else peft stores whole matrices of the base: beside rows it trained, and beside an adapter on the head.
            chosen |= {"save_embedding_layers": False}
    write(str(folder), safe_serialization=True, **chosen)
    if is_adapted(model):
        _sort_sets(
            folder / "adapter_config.json", vars(peft_model(model).peft_config[peft_model(model).active_adapter])
        )
        write_base(folder, loaded.base)
        if loaded.rope is not None:
            write_scaling(folder, loaded.rope)
    inner.config._attn_implementation = implementation
    check_saved(folder, model)
    tokenizer = template.tokenizer
    before = tokenizer.chat_template
    tokenizer.chat_template = template.source or None
    save_tokenizer(tokenizer, folder)
    tokenizer.chat_template = before


def _sort_sets(file: Path, settings: Mapping[str, object]) -> None:
    """Names that peft keeps in a set come out in another order in every process; equal runs must leave equal files."""
    written = json.loads(file.read_text(encoding="utf-8"))
    unordered = [
        name for name, value in settings.items() if isinstance(value, set) and isinstance(written.get(name), list)
    ]
    written |= {name: sorted(written[name]) for name in unordered}
    file.write_text(json.dumps(written, indent=2, sort_keys=True), encoding="utf-8")
