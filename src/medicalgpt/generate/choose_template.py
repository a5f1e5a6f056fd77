"""Which chat template a model is asked with: the first of those that may be meant, in one order for every front end."""

import json
from collections.abc import Callable
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from medicalgpt.errors import RenderError, ServeError
from medicalgpt.models.console import to_stderr
from medicalgpt.models.families import Architecture
from medicalgpt.models.locate import Located
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.rendering.template_header import named_templates
from medicalgpt.rendering.tool_formats import tool_format as find_format

LAST = "vicuna"  # needs nothing but an eos token


def choose_template(
    tokenizer: PreTrainedTokenizerBase,
    named: str | None = None,
    saved: str | None = None,
    architecture: Architecture | None = None,
    say: Callable[[str], None] = to_stderr,
    tool_format: str | None = None,
) -> ChatTemplate:
    """The template that was named; else the one saved with the run, the tokenizer's own, the family's, vicuna.

    The last two are guesses: a model that was trained with another template answers badly. So `say` hears of them.

    Args:
        saved: the text of the run's template, see `saved_template`.
        architecture: the model's line in the table of families.
        tool_format: how tools and calls are written, in place of what the template's text names.

    Raises:
        RenderError: the named, saved or own template does not suit the tokenizer, or there is no such tool format.
        ServeError: nothing was named and nothing suits.
    """
    if named is not None:
        return ChatTemplate.load(tokenizer, named, tool_format)
    if saved is not None:
        return ChatTemplate.of_text(tokenizer, saved, "saved with the run", tool_format)
    if getattr(tokenizer, "chat_template", None):
        return ChatTemplate.load(tokenizer, None, tool_format)
    if tool_format:
        find_format(tool_format)  # below, an unknown one would look like a template that does not suit
    known = named_templates()
    listed = [name for name in (architecture.templates if architecture else ()) if name in known]
    for name in dict.fromkeys([*listed, LAST]):
        try:
            template = ChatTemplate.load(tokenizer, name, tool_format)
        except RenderError:  # made for a tokenizer with other special tokens
            continue
        whose = "the usual one of this family" if name in listed else "which suits most"
        say(f"neither run nor tokenizer has a chat template; taking {name}, {whose} (--template names another)")
        return template
    raise ServeError(
        "neither run nor tokenizer has a chat template, and neither the family's nor vicuna suits the tokenizer (has it an "
        f"eos token?); name the one it was trained with, for example --template chatml; known: {', '.join(known)}"
    )


def saved_template(base: Located, adapter: Located | None) -> str | None:
    """Text of the template that a run saved with its adapter or its weights; None where there is no run."""
    if adapter is not None and (text := _read(Path(adapter.folder))):
        return text
    folder = Path(base.folder)
    made_here = base.kind == "model" and (folder.parent / "manifest.json").is_file()
    return _read(folder) if made_here else None


def _read(folder: Path) -> str | None:
    file = folder / "chat_template.jinja"
    if file.is_file():
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RenderError(f"{file} cannot be read: {error}; copy the model again, or name a --template") from error
    try:
        text = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return text if isinstance(text, str) and text else None
