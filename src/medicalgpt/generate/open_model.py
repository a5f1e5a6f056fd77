"""What an engine is made of, found for a name or a folder: the model itself, or the backend that has loaded it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import nn
from transformers import PreTrainedTokenizerBase

from medicalgpt.config.sections import ModelConfig
from medicalgpt.data.records import Message
from medicalgpt.errors import ServeError
from medicalgpt.generate.backends.base import Backend
from medicalgpt.generate.choose_template import choose_template, saved_template
from medicalgpt.generate.model_options import ModelOptions
from medicalgpt.gguf.file import GgufFile, is_gguf
from medicalgpt.kernels.device import own_device
from medicalgpt.models.embeddings import require_rows
from medicalgpt.models.families import identify
from medicalgpt.models.known_tokens import known_tokens
from medicalgpt.models.load import find, find_token_map, load
from medicalgpt.models.locate import Located, config_of
from medicalgpt.models.quantized import for_cpu, located_kind, quantized_kind
from medicalgpt.models.rope import agreed, asked_of
from medicalgpt.rendering.template import ChatTemplate, stop_ids

Origin = dict[str, object]
"""What was loaded, as JSON values: `places`, `weights`, `template` and what else decides an answer."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class ModelRequest:
    """A model that is asked for: where it is, how it is loaded, and who hears what was chosen where something was missing."""

    config: ModelConfig
    options: ModelOptions
    say: Say

    @classmethod
    def of(cls, run_or_path: str, options: ModelOptions, say: Say) -> "ModelRequest":
        """Raises ConfigError for values that no model section may have."""
        config = ModelConfig.model_validate(
            {
                "base": run_or_path,
                "revision": options.revision,
                "adapter": options.adapter,
                "dtype": options.dtype,
                "trust_remote_code": options.trust_remote_code,
                "rope_scaling": options.rope_scaling,
                "rope_factor": options.rope_factor,
            }
        )
        return cls(config, options, say)


@dataclass(frozen=True)
class Opened:
    """An engine's parts; `model` is None where `backend` has loaded it."""

    tokenizer: PreTrainedTokenizerBase
    template: ChatTemplate
    origin: Origin
    model: nn.Module | None = None
    backend: Backend | None = None


def on_torch(asked: ModelRequest) -> Opened:
    """The model in this process, on the GPU where there is one. Errors as of `Engine.open`."""
    _refuse_for_vllm(asked)
    loaded = load(
        asked.config,
        asked.options.quantization,
        device_map=asked.options.device_map,
        say=asked.say,
        family=asked.options.family,
        tokenizer=asked.options.tokenizer,
        resize_embeddings=asked.options.resize_embeddings,
    )
    kind = quantized_kind(loaded.model)
    if kind is None and asked.options.device_map is None:
        loaded.model.to(own_device())
    saved = saved_template(loaded.base, loaded.adapter)
    chosen = choose_template(
        loaded.tokenizer, asked.options.template, saved, loaded.architecture, asked.say, asked.options.tool_format
    )
    require_rows(loaded.model, loaded.tokenizer, [*chosen.prompt_ids([Message("user", "?")]), *chosen.stop_ids])
    origin: Origin = {"dtype": str(next(loaded.model.parameters()).dtype), "quantization": kind or "none"}
    if loaded.rope is not None:
        origin["rope"] = loaded.rope.model_dump()
    return Opened(loaded.tokenizer, chosen, origin_of(chosen, loaded.base, loaded.adapter) | origin, loaded.model)


def on_vllm(asked: ModelRequest) -> Opened:
    """The model in vLLM's hands.

    Raises:
        ServeError: for what vLLM cannot do, and as `Engine.open`.
    """
    from transformers import GenerationConfig

    from medicalgpt.generate.backends.vllm import VllmBackend  # lazy: heavy

    config, tokenizer = asked.config, asked.options.tokenizer
    settings = {
        f"quantization={asked.options.quantization}": asked.options.quantization != "none",
        "resizing": asked.options.resize_embeddings,
    }
    if given := [name for name, is_given in settings.items() if is_given]:
        raise ServeError(f"backend=vllm does not take {', '.join(given)}; leave it out, or the backend")
    base, adapter, loaded = find(config, tokenizer)
    if for_cpu(kind := located_kind(base)):
        raise ServeError(
            f"{config.base} has weights for the CPU ({kind}), which vLLM does not read; leave backend=vllm out"
        )
    if find_token_map(config, base, adapter, loaded, tokenizer) is not None:
        raise ServeError(
            f"{config.base} has tokens that its base lacks, which vLLM cannot add; merge the adapter first"
        )
    if (rope := agreed(asked_of(config), adapter)) is not None:
        raise ServeError(
            f"{config.base} is to be read with positions for a longer context ({rope.type} × {rope.factor:g}), which backend=vllm is "
            "not told; merge the adapter first, whose config.json then says so, or leave backend=vllm out"
        )
    architecture = identify(config_of(base), asked.options.family, base.name)
    saved = saved_template(base, adapter)
    chosen = choose_template(loaded, asked.options.template, saved, architecture, asked.say, asked.options.tool_format)
    try:
        own = GenerationConfig.from_pretrained(base.folder)
    except OSError:  # models need not have one
        own = None
    ends = stop_ids(chosen, own)
    known = known_tokens(loaded, _rows_of(config_of(base)), ends)
    backend = VllmBackend(base, adapter, ends, asked.options, known)
    origin = origin_of(chosen, base, adapter) | {"dtype": config.dtype, "backend": "vllm"}
    return Opened(loaded, chosen, origin, backend=backend)


def _refuse_for_vllm(asked: ModelRequest) -> None:
    if given := asked.options.for_vllm:
        raise ServeError(f"{', '.join(given)}: only backend=vllm does that; leave it out, or give --backend vllm")


def _rows_of(config: Mapping[str, object]) -> int | None:
    """How many ids a model has, by its config.json, where families have one of several names for it."""
    text = config.get("text_config")
    places = (text, config) if isinstance(text, Mapping) else (config,)
    found = (place.get(name) for place in places for name in ("vocab_size", "padded_vocab_size"))
    return next((rows for rows in found if isinstance(rows, int)), None)


def on_llamacpp(asked: ModelRequest) -> Opened:
    """A GGUF file in llama.cpp's hands.

    Raises:
        ServeError: it is no GGUF file, or another backend or a setting that a file fixes is asked for.
    """
    from medicalgpt.generate.backends.llamacpp import LlamaCppBackend  # lazy: heavy

    config, path = asked.config, asked.config.base
    if not is_gguf(path):
        raise ServeError(
            f"backend=llamacpp runs .gguf files, not {path}; make one with: medicalgpt export gguf --model {path} "
            "--output FILE.gguf"
        )
    _refuse_for_vllm(asked)
    if asked.options.backend == "vllm":
        raise ServeError(f"{path} is a GGUF file, which backend=vllm is not given here; leave --backend out")
    settings = {
        "adapter": bool(config.adapter),
        "revision": bool(config.revision),
        "trust_remote_code": config.trust_remote_code,
        "dtype": config.dtype != "auto",
        "quantization": asked.options.quantization != "none",
        "family": asked.options.family != "auto",
        "tokenizer": bool(asked.options.tokenizer),
        "resizing": asked.options.resize_embeddings,
        "rope_scaling": config.rope_scaling is not None,
    }
    if given := [name for name, is_given in settings.items() if is_given]:
        raise ServeError(
            f"{', '.join(given)} cannot be given with a GGUF file: all of it is fixed when the file is made "
            "(medicalgpt export gguf)"
        )
    file = GgufFile.read(Path(path).expanduser())
    chosen = choose_template(
        file.tokenizer, asked.options.template, say=asked.say, tool_format=asked.options.tool_format
    )
    ends = list(dict.fromkeys([*chosen.stop_ids, *file.stop_ids]))
    loaded = LlamaCppBackend(file, ends)
    found = file.path.stat()
    weights = [[file.path.name, found.st_size, found.st_mtime_ns]]
    origin: Origin = {"places": [str(file.path)], "weights": weights, "template": chosen.hash, "backend": "llamacpp"}
    return Opened(file.tokenizer, chosen, origin, backend=loaded)


def origin_of(template: ChatTemplate, base: Located, adapter: Located | None) -> Origin:
    """Where an engine's weights lie, what tells them from later ones, and the template's hash."""
    places = [base, adapter] if adapter else [base]
    weights: list[list[str | int]] = []
    for place in places:
        folder = Path(place.folder)
        files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
        weights += [[f.name, f.stat().st_size, f.stat().st_mtime_ns] for f in files]
    return {"places": [place.address for place in places], "weights": weights, "template": template.hash}
