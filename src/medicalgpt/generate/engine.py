"""The engine: prompts in, completions out. Chat, batch files, evaluation and training samples all come through here."""

from collections.abc import Generator, Sequence
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from medicalgpt.config.sections import ModelConfig
from medicalgpt.errors import ServeError
from medicalgpt.generate.backend import Backend, Ends
from medicalgpt.generate.choose import backend_for
from medicalgpt.generate.prompts import Prompt, Ready, prepare
from medicalgpt.generate.sampling import Sampling, row_seed
from medicalgpt.generate.stream import Job, TextStream
from medicalgpt.models.load import Quantization, find, find_token_map, load
from medicalgpt.models.locate import Located
from medicalgpt.models.policy import unwrap
from medicalgpt.render.template import ChatTemplate


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer.

    `text` has no stop token, no stop text and no half character at its end. `token_ids` include the token that ended
    the answer. `stopped` is False when max_new_tokens cut the answer off. `dropped_turns` counts old turns that did not
    fit into the context.
    """

    text: str
    token_ids: list[int]
    stopped: bool
    prompt_tokens: int
    dropped_turns: int = 0


@dataclass
class Engine:
    """Answers prompts with a model, which may be in the midst of training.

    Equal seed, index and prompt give the same answer in any batch, up to rounding of the logits. The caller's random
    state and the model's training mode stay as they were.
    """

    model: nn.Module | None
    """None where the backend has loaded the model itself."""
    tokenizer: Any
    template: ChatTemplate
    origin: dict[str, Any] = field(default_factory=dict)
    """What was loaded, for comparing two calls: places, size and time of weight files, number type, template hash."""
    loaded: InitVar[Backend | None] = None
    """A backend for the model; default: the best for `model`."""

    def __post_init__(self, loaded: Backend | None) -> None:
        if loaded is None:
            assert self.model is not None
            ends = stop_ids(self.template, getattr(unwrap(self.model), "generation_config", None))
            # Padding is masked out, so any id will do for a tokenizer without a pad token.
            loaded = backend_for(self.model, ends, self.template.pad_id or 0)
        self.backend: Backend = loaded
        self.stop_ids = list(loaded.stop_ids)

    @classmethod
    def open(
        cls,
        run_or_path: str,
        *,
        adapter: str | None = None,
        template: str | None = None,
        dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
        trust_remote_code: bool = False,
        quantization: Quantization = "none",
        revision: str | None = None,
        backend: Literal["auto", "vllm"] = "auto",
    ) -> "Engine":
        """Load a run folder, model folder, adapter folder, embedded model or Hub id; on the GPU where there is one.

        Raises:
            ModelError: it cannot be found or loaded.
            RenderError: the template is unknown or does not fit the tokenizer.
            ServeError: the tokenizer has no chat template and none was named; or vLLM is asked for and not installed, or
                for a quantisation of ours.
        """
        asked = {"base": run_or_path, "revision": revision, "adapter": adapter, "dtype": dtype}
        config = ModelConfig.model_validate({**asked, "trust_remote_code": trust_remote_code})
        if backend == "vllm":
            if quantization != "none":
                raise ServeError(f"backend=vllm does not take quantization={quantization}; leave one of the two out")
            return _on_vllm(cls, config, template)
        loaded = load(config, quantization)
        _check_template(run_or_path, loaded.tokenizer, template)
        if quantization == "none" and torch.cuda.is_available():
            loaded.model.to("cuda")
        chosen = ChatTemplate.load(loaded.tokenizer, template)
        places = [place for place in (loaded.base, loaded.adapter) if place]
        kind = {"dtype": str(next(loaded.model.parameters()).dtype), "quantization": quantization}
        return cls(loaded.model, loaded.tokenizer, chosen, _origin(places, chosen) | kind)

    @property
    def context(self) -> int | None:
        """Most tokens of prompt and answer together, or None where the model sets no limit."""
        return self.backend.context

    def prepare(self, prompt: Prompt, sampling: Sampling) -> Ready:
        """Token ids for a prompt, with the oldest turns dropped where it is too long.

        Raises:
            ServeError: it is empty, or one question alone is too long.
            RenderError: the template cannot render it, or it spells a special token.
        """
        return prepare(prompt, self.template, self.context, sampling.max_new_tokens)

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, *, batch_size: int = 8, first_index: int = 0
    ) -> list[Completion]:
        """Answer every prompt, in the order given.

        Prompts of similar length share a batch. `first_index` is the number of the first prompt in a larger whole, so
        that a long list can be answered in pieces with the same result.

        Raises:
            ServeError, RenderError: as `prepare`, before anything is generated; or the backend's ServeError.
        """
        if batch_size < 1:
            raise ServeError(f"batch_size is {batch_size}; allowed: at least 1")
        ready = [self.prepare(prompt, sampling) for prompt in prompts]
        answers = self._run(ready, sampling, 1, batch_size, first_index)
        return [self._completion(r, ids, sampling) for r, (ids,) in zip(ready, answers)]

    def complete(
        self,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        *,
        n: int = 1,
        batch_size: int = 32,
        first_index: int = 0,
    ) -> list[list[list[int]]]:
        """Token ids of `n` completions of every prompt: rollouts, which need no text.

        A completion includes the stop token that ended it. Completion `j` of prompt `i` is what `generate` answers as
        number (first_index + i)·n + j, so it does not depend on its batch. The decoder computes a prompt once for all `n`.

        Raises:
            ServeError: an empty prompt, or one too long for the model's context; or the backend's ServeError.
        """
        for name, value in (("batch_size", batch_size), ("n", n)):
            if value < 1:
                raise ServeError(f"{name} is {value}; allowed: at least 1")
        return self._run([self.prepare(ids, sampling) for ids in prompts], sampling, n, batch_size, first_index)

    def _run(
        self, ready: Sequence[Ready], sampling: Sampling, n: int, batch_size: int, first_index: int
    ) -> list[list[list[int]]]:
        if not ready:
            return []
        ends = _stop_text_ends(self._decode, sampling, n * len(ready)) if sampling.stop else None
        seeds = [[row_seed(sampling.seed, (first_index + i) * n + j) for j in range(n)] for i in range(len(ready))]
        return self.backend.run([r.ids for r in ready], sampling, seeds, batch_size=batch_size, ends=ends)

    def stream(self, prompt: Prompt, sampling: Sampling, *, index: int = 0) -> Generator[str, None, Completion]:
        """Answer one prompt piece by piece; the pieces are whole characters and together the answer's text.

        The generator's return value is the `Completion`. Closing it stops the model after the token it is at.

        Raises:
            ServeError, RenderError: as `prepare`, at once; or the backend's ServeError while iterating.
        """
        return self._stream(self.prepare(prompt, sampling), sampling, row_seed(sampling.seed, index))

    def _stream(self, ready: Ready, sampling: Sampling, seed: int) -> Generator[str, None, Completion]:
        job = Job(self.backend, ready.ids, sampling, seed)
        text = TextStream(self._decode, sampling.stop)
        try:
            for token in job.tokens():
                piece = text.push(token)
                if piece:
                    yield piece
                if text.stopped:
                    break
        finally:
            job.stop()
        # With a stop text the model may be a token or two ahead by now; those are not part of the answer.
        ids = job.given if text.stopped else job.answer
        if rest := text.finish():
            yield rest
        return self._completion(ready, ids, sampling)

    def _completion(self, ready: Ready, ids: list[int], sampling: Sampling) -> Completion:
        ended = bool(ids) and ids[-1] in self.stop_ids
        text = TextStream(self._decode, sampling.stop)
        pieces = [text.push(token) for token in (ids[:-1] if ended else ids)]
        pieces.append(text.finish())
        return Completion("".join(pieces), ids, ended or text.stopped, len(ready.ids), ready.dropped_turns)

    def text(self, ids: Sequence[int]) -> str:
        """The text of an answer's token ids; special tokens have none."""
        return self._decode(list(ids))

    def _decode(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _stop_text_ends(decode: Any, sampling: Sampling, rows: int) -> Ends:
    texts = [TextStream(decode, sampling.stop) for _ in range(rows)]

    def ends(row: int, token: int) -> bool:
        texts[row].push(token)
        return texts[row].stopped

    return ends


def _check_template(name: str, tokenizer: Any, template: str | None) -> None:
    if template is None and not getattr(tokenizer, "chat_template", None):
        raise ServeError(
            f"{name} has no chat template of its own (a base model?); name the one it was trained with, "
            "for example --template chatml"
        )


def _on_vllm(engine: type[Engine], config: ModelConfig, template: str | None) -> Engine:
    """An engine whose model is in vLLM's hands."""
    from transformers import GenerationConfig

    from medicalgpt.generate.vllm_backend import VllmBackend

    base, adapter, tokenizer = find(config)
    if find_token_map(config, base, adapter, tokenizer) is not None:
        raise ServeError(
            f"{config.base} has tokens that its base lacks, which vLLM cannot add; merge the adapter first"
        )
    _check_template(config.base, tokenizer, template)
    chosen = ChatTemplate.load(tokenizer, template)
    try:
        own = GenerationConfig.from_pretrained(base.path_or_id, revision=base.revision)
    except OSError:  # models need not have one
        own = None
    backend = VllmBackend(base, adapter, stop_ids(chosen, own), config.dtype, config.trust_remote_code)
    origin = _origin([place for place in (base, adapter) if place], chosen)
    return engine(None, tokenizer, chosen, origin | {"dtype": config.dtype, "backend": "vllm"}, loaded=backend)


def stop_ids(template: ChatTemplate, generation_config: Any) -> list[int]:
    """The template's stop tokens and those that the model's own generation config adds (Llama 3 has three)."""
    own = getattr(generation_config, "eos_token_id", None)
    return list(dict.fromkeys([*template.stop_ids, *([own] if isinstance(own, int) else own or [])]))


def _origin(places: Sequence[Located], template: ChatTemplate) -> dict[str, Any]:
    weights: list[list[Any]] = []
    for place in places:
        folder = Path(place.path_or_id)
        files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
        weights += [[f.name, f.stat().st_size, f.stat().st_mtime_ns] for f in files]
    names = [f"{place.path_or_id}@{place.revision}" if place.revision else place.path_or_id for place in places]
    return {"places": names, "weights": weights, "template": template.hash}
