"""The long-standing flags of gradio_demo.py, and what each one means here: `medicalgpt demo` in other words."""

import argparse
import os
from collections.abc import Sequence
from typing import Any

from medicalgpt.cli.demo import open_page
from medicalgpt.config.lookup import did_you_mean
from medicalgpt.errors import MedicalGPTError, ServeError


def gradio_demo(words: Sequence[str] | None = None) -> None:
    """`python gradio_demo.py`: serve the web page; wrong input ends with one clear message and exit code 2."""
    parser = _parser()
    given, unknown = parser.parse_known_args(words)
    if unknown:
        flag = unknown[0].split("=")[0]
        flags = [known for action in parser._actions for known in action.option_strings if known.startswith("--")]
        parser.error(f"{flag} is no flag of {parser.prog}{did_you_mean(flag, flags)}; --help lists them")
    if given.only_cpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before anything touches CUDA, which looks once only
    settings = {"system": given.system_prompt or "", "max_new_tokens": given.max_new_tokens}
    place = {"port": given.port, "share": given.share, "context": given.context_len}
    try:
        open_page(given.base_model, _opening(given), settings, place)
    except MedicalGPTError as error:
        parser.error(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "gradio_demo.py", description="Talk to a model in the browser.", allow_abbrev=False
    )
    add = parser.add_argument
    add("--model_type", default="auto", help="family of the model; default: auto")
    add("--base_model", required=True, help="folder, run folder, embedded name or Hub id")
    add("--lora_model", help="LoRA adapter; leave it out when it is merged")
    add("--tokenizer_path", help="default: the adapter's where it has one, else the base's")
    add("--template_name", help="default: the model's own")
    add("--only_cpu", action="store_true", help="use no GPU")
    add("--resize_emb", action="store_true", help="as many embeddings as the tokenizer has tokens")
    add("--system_prompt", help="system message that the page opens with")
    add("--context_len", type=int, help="most tokens of conversation and answer; default: the model's")
    add("--max_new_tokens", type=int, default=512, help="longest answer; default: %(default)s")
    add("--share", action="store_true", help="make it public through gradio.live; not for patient data")
    add("--port", type=int, default=7860, help="default: %(default)s")
    return parser


def _opening(given: argparse.Namespace) -> dict[str, Any]:
    """The arguments of `Engine.open` beside the model.

    Raises:
        ServeError: a flag asks for something that the engine does not offer.
    """
    opening: dict[str, Any] = {"adapter": given.lora_model or None, "template": given.template_name or None}
    flags = {
        "family": ("--model_type", given.model_type, "auto"),
        "tokenizer": ("--tokenizer_path", given.tokenizer_path or None, None),
        "resize_embeddings": ("--resize_emb", given.resize_emb, False),
    }
    asked = {name: entry for name, entry in flags.items() if entry[1] != entry[2]}
    if asked:
        import inspect

        from medicalgpt.generate.engine import Engine

        offered = inspect.signature(Engine.open).parameters
        for name, (flag, value, _) in asked.items():
            if name not in offered:
                raise ServeError(f"{flag} is not supported by this version; leave it out")
            opening[name] = value
    return opening
