"""Options that every command with a model to ask has in common, and how they reach a command as two values."""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from medicalgpt.generate.model_options import ModelOptions

if TYPE_CHECKING:  # lazy: heavy
    from medicalgpt.generate.sampling import Sampling

_MODEL = "Model"
_SAMPLING = "Sampling"

Model = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="RUN_OR_PATH",
        help="A run, model or adapter folder, an embedded model's name, a hub's (owner/name, ms://owner/name), or a .gguf file.",
        rich_help_panel=_MODEL,
    ),
]
Adapter = Annotated[
    str | None,
    typer.Option(metavar="PATH", help="A LoRA adapter or run folder for the model.", rich_help_panel=_MODEL),
]
Template = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Chat template by name or .jinja file; default: the model's own.", rich_help_panel=_MODEL
    ),
]
ToolFormat = Annotated[
    str | None,
    typer.Option(
        "--tool-format",
        metavar="NAME",
        help="How tool calls are written (react, qwen, glm4, llama3, mistral); default: as the template says.",
        rich_help_panel=_MODEL,
    ),
]
Revision = Annotated[
    str | None, typer.Option(metavar="NAME", help="Branch, tag or commit of a hub's model.", rich_help_panel=_MODEL)
]
Family = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Family that the model must be of (`medicalgpt models families`); auto finds it.",
        rich_help_panel=_MODEL,
    ),
]
Tokenizer = Annotated[
    str | None,
    typer.Option(metavar="PATH", help="Another tokenizer than that of the adapter or base.", rich_help_panel=_MODEL),
]
ResizeEmbeddings = Annotated[
    bool,
    typer.Option(
        "--resize-embeddings",
        help="One embedding a token of the tokenizer, for adapters trained with another one.",
        rich_help_panel=_MODEL,
    ),
]
RopeScaling = Annotated[
    Literal["linear", "yarn"] | None,
    typer.Option(
        "--rope-scaling", help="A longer context than the base's, with --rope-factor.", rich_help_panel=_MODEL
    ),
]
RopeFactor = Annotated[
    float | None,
    typer.Option("--rope-factor", help="How many times longer that context is.", rich_help_panel=_MODEL),
]
Dtype = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    typer.Option(help="Weight type; auto takes bfloat16 on hardware that multiplies it fast.", rich_help_panel=_MODEL),
]
Quantization = Annotated[
    Literal["none", "int8", "nf4"],
    typer.Option(help="Weights in 8 or 4 bits (bitsandbytes).", rich_help_panel=_MODEL),
]
Backend = Annotated[
    Literal["auto", "vllm", "llamacpp"],
    typer.Option(
        help="vllm hands the model to vLLM (a GPU and medicalgpt\\[vllm] are needed), llamacpp a .gguf file to llama.cpp "
        "(medicalgpt\\[llamacpp]; chosen by itself for such a file).",
        rich_help_panel=_MODEL,
    ),
]
TensorParallel = Annotated[
    int,
    typer.Option("--tensor-parallel", min=1, help="With vllm: GPUs that share every weight.", rich_help_panel=_MODEL),
]
MemoryShare = Annotated[
    float | None,
    typer.Option(
        "--memory-share", min=0, max=1, help="With vllm: share of a GPU's memory that it takes.", rich_help_panel=_MODEL
    ),
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option("--trust-remote-code", help="Run Python code that comes with the model.", rich_help_panel=_MODEL),
]

System = Annotated[str | None, typer.Option(metavar="TEXT", help="System message for conversations that have none.")]

Emergency = Annotated[
    str | None,
    typer.Option(
        "--emergency",
        metavar="REGION",
        help="Whose emergency number the disclaimer names: CN, TW, HK, MO, US, EU … or the number itself; default: "
        "$MEDICALGPT_EMERGENCY, else the numbers of several regions.",
    ),
]

NoHistory = Annotated[bool, typer.Option("--no-history", help="Ask each question alone, without the turns before it.")]

MaxNewTokens = Annotated[int, typer.Option(min=1, help="Longest answer in tokens.", rich_help_panel=_SAMPLING)]
Temperature = Annotated[
    float,
    typer.Option(min=0, help="0 takes the most likely token; higher is more varied.", rich_help_panel=_SAMPLING),
]
TopP = Annotated[
    float,
    typer.Option(min=0, max=1, help="Sample from the likeliest tokens of this joint share.", rich_help_panel=_SAMPLING),
]
TopK = Annotated[
    int, typer.Option(min=0, help="Sample from so many of the likeliest tokens; 0 is off.", rich_help_panel=_SAMPLING)
]
RepetitionPenalty = Annotated[
    float, typer.Option(help="Above 1 makes tokens that stand there already less likely.", rich_help_panel=_SAMPLING)
]
MinP = Annotated[
    float,
    typer.Option(
        "--min-p",
        min=0,
        max=1,
        help="Sample from tokens at least so many times as likely as the likeliest; 0 is off.",
        rich_help_panel=_SAMPLING,
    ),
]
FrequencyPenalty = Annotated[
    float,
    typer.Option(
        min=-2, max=2, help="Taken from a token's logit for each time it is in the answer.", rich_help_panel=_SAMPLING
    ),
]
PresencePenalty = Annotated[
    float,
    typer.Option(min=-2, max=2, help="Taken once from a token that is in the answer.", rich_help_panel=_SAMPLING),
]
Stop = Annotated[
    list[str] | None,
    typer.Option(metavar="TEXT", help="Text that ends an answer; may be repeated.", rich_help_panel=_SAMPLING),
]


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """How answers are drawn, as a command line says it; the defaults are a command's own. `seed` None: a new one."""

    max_new_tokens: int = 512
    temperature: float = 0.7
    top_p: float = 0.9
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    min_p: float = 0.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0

    def sampling(self, seed: int) -> "Sampling":
        """Settings of a call, with `seed` where none was given. Raises ServeError for a value outside its range."""
        from medicalgpt.generate.sampling import Sampling

        return Sampling(**{**vars(self), "seed": seed if self.seed is None else self.seed})


_MODEL_TYPES: dict[str, Any] = {
    "template": Template,
    "tool_format": ToolFormat,
    "family": Family,
    "adapter": Adapter,
    "tokenizer": Tokenizer,
    "resize_embeddings": ResizeEmbeddings,
    "rope_scaling": RopeScaling,
    "rope_factor": RopeFactor,
    "revision": Revision,
    "dtype": Dtype,
    "quantization": Quantization,
    "backend": Backend,
    "tensor_parallel": TensorParallel,
    "memory_share": MemoryShare,
    "trust_remote_code": TrustRemoteCode,
}
_SAMPLING_TYPES: dict[str, Any] = {
    "max_new_tokens": MaxNewTokens,
    "temperature": Temperature,
    "top_p": TopP,
    "top_k": TopK,
    "repetition_penalty": RepetitionPenalty,
    "min_p": MinP,
    "frequency_penalty": FrequencyPenalty,
    "presence_penalty": PresencePenalty,
    "stop": Stop,
}


def model_command(
    *,
    tools: bool = False,
    sampling: SamplingOptions | None = None,
    seed_help: str = "",
    inference_only: bool = False,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of a model.

    The command's own function takes `options: ModelOptions`, and `sampling: SamplingOptions` where it has such options;
    on the command line each of their fields is an option of its own.

    Args:
        tools: with `--tool-format`.
        sampling: the defaults of the sampling options; None: the command has none.
        seed_help: what `--seed` says.
        inference_only: the command's model answers, and nothing else is done with it.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        wanted = {name: kind for name, kind in _MODEL_TYPES.items() if tools or name != "tool_format"}
        own = list(inspect.signature(command, eval_str=True).parameters.values())
        own = [p for p in own if p.name not in ("options", "sampling")]
        shared = [*(_sampling_parameters(sampling, seed_help) if sampling else ()), *_model_parameters(wanted)]
        after = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in [*own, *shared]]

        @functools.wraps(command)
        def run(**given: Any) -> None:
            chosen = {name: given.pop(name) for name in wanted}
            how: dict[str, Any] = {"options": ModelOptions(**chosen, inference_only=inference_only)}
            if sampling is not None:
                drawn = {f.name: given.pop(f.name) for f in fields(SamplingOptions)}
                how["sampling"] = SamplingOptions(**{**drawn, "stop": tuple(drawn["stop"] or ())})
            command(**given, **how)

        # What typer reads instead of the function's own.
        run.__signature__ = inspect.Signature(after)  # type: ignore[attr-defined]  # functions have it, stubs lack it
        run.__annotations__ = {p.name: p.annotation for p in after}
        return run

    return decorate


def _model_parameters(wanted: dict[str, Any]) -> list[inspect.Parameter]:
    defaults = {f.name: f.default for f in fields(ModelOptions)}
    return [_parameter(name, kind, defaults[name]) for name, kind in wanted.items()]


def adapters(given: Sequence[str]) -> dict[str, str]:
    """What `--named-adapter NAME=PATH` says, by name. Raises ServeError for anything else, or a name twice."""
    from medicalgpt.errors import ServeError

    found: dict[str, str] = {}
    for one in given:
        name, equals, path = one.partition("=")
        if not (name and equals and path):
            raise ServeError(f"--named-adapter {one}: allowed is NAME=PATH, such as ward=runs/sft-ward")
        if name in found:
            raise ServeError(f"--named-adapter gives the name {name} twice; choose another name for one of them")
        found[name] = path
    return found


def _sampling_parameters(defaults: SamplingOptions, seed_help: str) -> list[inspect.Parameter]:
    seed = Annotated[int | None, typer.Option(min=0, help=seed_help, rich_help_panel=_SAMPLING)]
    kinds = {**_SAMPLING_TYPES, "seed": seed}
    order = [*(name for name in _SAMPLING_TYPES if name != "stop"), "seed", "stop"]
    return [
        _parameter(name, kinds[name], getattr(defaults, name) or None if name == "stop" else getattr(defaults, name))
        for name in order
    ]


def _parameter(name: str, kind: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
