"""A model as a Hugging Face folder."""

from collections.abc import Callable
from pathlib import Path

from medicalgpt.models.adapters import is_adapted, peft_model, stores_token_rows
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.load import Loaded
from medicalgpt.rendering.template import ChatTemplate


def save_model(folder: Path, loaded: Loaded, template: ChatTemplate) -> None:
    """Adapter or full weights with tokenizer, chat template and every stop token, in Hugging Face layout."""
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
    # The critic's and the reward model's adapters may lie on the same base; the active one is the policy's.
    chosen: dict[str, object] = {"selected_adapters": [peft_model(model).active_adapter]} if is_adapted(model) else {}
    if is_adapted(model) and loaded.token_map is not None:
        loaded.token_map.write(folder)
        chosen |= {"save_embedding_layers": False} if stores_token_rows(model) else {}
    write: Callable[..., None] = peft_model(model).save_pretrained if is_adapted(model) else inner.save_pretrained
    write(str(folder), safe_serialization=True, **chosen)
    inner.config._attn_implementation = implementation
    tokenizer = template.tokenizer
    before = tokenizer.chat_template
    tokenizer.chat_template = template.source
    tokenizer.save_pretrained(str(folder))
    tokenizer.chat_template = before
