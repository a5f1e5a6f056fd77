"""Options that every command with a model to ask has in common."""

from typing import Annotated, Literal

import typer

_MODEL = "Model"
_SAMPLING = "Sampling"

Model = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="RUN_OR_PATH",
        help="A run, model or adapter folder, an embedded model's name, a Hub id, or a .gguf file.",
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
    str | None, typer.Option(metavar="NAME", help="Branch, tag or commit of a Hub model.", rich_help_panel=_MODEL)
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
        help="vllm hands the model to vLLM (a GPU and medicalgpt[vllm] are needed), llamacpp a .gguf file to llama.cpp "
        "(medicalgpt[llamacpp]; chosen by itself for such a file).",
        rich_help_panel=_MODEL,
    ),
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option("--trust-remote-code", help="Run Python code that comes with the model.", rich_help_panel=_MODEL),
]

System = Annotated[str | None, typer.Option(metavar="TEXT", help="System message for conversations that have none.")]

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
Stop = Annotated[
    list[str] | None,
    typer.Option(metavar="TEXT", help="Text that ends an answer; may be repeated.", rich_help_panel=_SAMPLING),
]
