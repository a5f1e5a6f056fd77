"""`medicalgpt export gguf`: find a model, merge its adapter where it has one, write the file, ask llama.cpp about it."""

import os
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from medicalgpt.config.sections import ModelConfig
from medicalgpt.errors import ModelError
from medicalgpt.export.certificate import Certificate, Comparison
from medicalgpt.export.equivalence import LogProbs, collect, compare, probe_prompts
from medicalgpt.export.gguf_writer import Exported, GgufType, check_target, write_gguf
from medicalgpt.export.logprobs import language_logprobs
from medicalgpt.export.merge import merge_adapter_checked
from medicalgpt.generate.backends.llamacpp_server import gguf_logprobs
from medicalgpt.gguf.file import GgufFile
from medicalgpt.models.adapters import is_adapted
from medicalgpt.models.embeddings import rows
from medicalgpt.models.load import load
from medicalgpt.rendering.template import ChatTemplate, stop_ids
from medicalgpt.runs.hashes import hash_file


def export_gguf(
    config: ModelConfig,
    path: Path,
    kind: GgufType,
    *,
    template: str | None = None,
    pre: str | None = None,
    overwrite: bool = False,
    allow_drift: bool = False,
) -> Exported:
    """Load a model, merge its adapter where it has one, and write it as a GGUF file with a certificate beside it.

    The certificate compares what llama.cpp makes of the file with the model itself; where its bindings are not installed
    there is none, and a note says so.

    Args:
        template: a chat template's name or file; default: the model's own, or none for a base model.
        allow_drift: publish the file also where llama.cpp says something else than the model.

    Raises:
        ModelError: as `load`, `merge_adapter` and `write_gguf`, or a merge or a file that says something else than the model.
        RenderError: the template does not fit the tokenizer.
    """
    check_target(path, kind, overwrite)
    loaded = load(config)
    notes = []
    if is_adapted(loaded.model):
        loaded.model, merged = merge_adapter_checked(loaded.model)
        notes.append(f"the adapter was merged first: {merged.summary()}")
    tokenizer = loaded.tokenizer
    chosen = ChatTemplate.load(tokenizer, template) if template or tokenizer.chat_template else None
    if chosen is None:
        notes.append("no chat template: a base model; name one with --template to chat with it")
    if tokenizer.eos_token_id is None:
        raise ModelError("the tokenizer has no eos token, so the exported model could never stop; set one first")
    ends = stop_ids(chosen, loaded.model.generation_config) if chosen else [tokenizer.eos_token_id]
    source = chosen.source if chosen else None
    name = Path(config.base).resolve().name
    prompts = probe_prompts(rows(loaded.model), chosen)
    # Nobody to compare with: the model is not asked either.
    expected = collect(language_logprobs(loaded.model), prompts) if find_spec("xllamacpp") else None
    # Under another name until llama.cpp has read it.
    unchecked = path.with_name(f".{path.stem}.{os.getpid()}.unchecked.gguf")
    try:
        written = write_gguf(
            loaded.model, tokenizer, unchecked, kind, stop_ids=ends, template=source, name=name, pre=pre, overwrite=True
        )
        notes += [*written.notes, _publish(unchecked, path, kind, expected, prompts, allow_drift)]
    finally:
        unchecked.unlink(missing_ok=True)
    return replace(written, path=path, notes=notes)


def _publish(
    unchecked: Path,
    path: Path,
    kind: str,
    expected: list[LogProbs] | None,
    prompts: Sequence[Sequence[int]],
    allow_drift: bool,
) -> str:
    """Let llama.cpp read the file, and give it its name and certificate; tells how the comparison ended."""
    proof = path.with_suffix(".certificate.json")
    if expected is None:
        os.replace(unchecked, path)
        proof.unlink(missing_ok=True)  # that of a file which was replaced
        return "not compared with the model, as llama.cpp is not installed: pip install 'medicalgpt[llamacpp]'"
    difference = compare(expected, gguf_logprobs(GgufFile.read(unchecked)).likely, prompts)
    found = Comparison("the model", "the file, read by llama.cpp", difference, second_sha256=hash_file(unchecked))
    certificate = Certificate(f"gguf-{kind.upper()}", [found], allow_drift=allow_drift)
    certificate.check()
    os.replace(unchecked, path)
    certificate.write(path.parent, proof.name)
    return f"compared with the model: {certificate.summary()}"
