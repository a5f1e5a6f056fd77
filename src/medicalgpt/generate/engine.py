"""The engine: prompts in, completions out. Chat, batch files, evaluation and training samples all come through here."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field, replace
from functools import cached_property
from os import PathLike, fspath
from typing import Any, Literal

from torch import nn
from transformers import PreTrainedTokenizerBase

from medicalgpt.data.records import Message
from medicalgpt.errors import ServeError
from medicalgpt.generate.backends.base import Backend, Choosy, Masking, StopCallback
from medicalgpt.generate.backends.decoder.backend import Decoder
from medicalgpt.generate.backends.select import backend_for
from medicalgpt.generate.model_options import BackendName, Dtype, ModelOptions, QuantizationName, RopeScalingName
from medicalgpt.generate.open_model import ModelRequest, Origin, Say, on_llamacpp, on_torch, on_vllm
from medicalgpt.generate.prompts import EncodedPrompt, Prompt, prepare
from medicalgpt.generate.sampling import Sampling, row_seed
from medicalgpt.generate.stream import StreamThread, TextStream
from medicalgpt.generate.token_text import TokenTexts
from medicalgpt.gguf.file import is_gguf
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.console import to_stderr
from medicalgpt.models.known_tokens import known_tokens, known_tokens_of
from medicalgpt.rendering.template import ChatTemplate, stop_ids
from medicalgpt.rendering.thinking import CLOSE, OPEN
from medicalgpt.rendering.tool_formats import MARKERS
from medicalgpt.structured.constraint import Constraint
from medicalgpt.structured.grammars import Grammars
from medicalgpt.structured.vocabulary import Tokens

GREEDY = Sampling()


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer.

    `text` has no stop token, no stop text and no half character at its end. `token_ids` include the token that ended
    the answer. `stopped` is False when max_new_tokens cut the answer off. `dropped_turns` counts old turns that did not
    fit into the context. `thinking`: the prompt opened a thinking block, so the text begins with thoughts; `read_answer`
    takes it apart.
    """

    text: str
    token_ids: list[int]
    stopped: bool
    prompt_tokens: int
    dropped_turns: int = 0
    thinking: bool = False

    def __str__(self) -> str:
        return self.text


@dataclass
class Engine:
    """Answers prompts with a model, which may be in the midst of training.

    Equal seed, index and prompt give the same answer in any batch, up to rounding of the logits. The caller's random
    state and the model's training mode stay as they were.
    """

    model: nn.Module | None
    """None where the backend has loaded the model itself."""
    tokenizer: PreTrainedTokenizerBase
    template: ChatTemplate
    origin: Origin = field(default_factory=dict)
    """What was loaded, for comparing two calls: places, size and time of weight files, number type, template hash."""
    loaded: InitVar[Backend | None] = None
    """A backend for the model; default: the best for `model`."""
    inference_only: InitVar[bool] = False
    """As in `ModelOptions`."""

    def __post_init__(self, loaded: Backend | None, inference_only: bool) -> None:
        if loaded is None:
            assert self.model is not None
            ends = stop_ids(self.template, getattr(unwrap(self.model), "generation_config", None))
            # Padding is masked out, so any id will do for a tokenizer without a pad token.
            known = known_tokens_of(self.model, self.tokenizer)
            loaded = backend_for(self.model, ends, self.template.pad_id or 0, known, inference_only)
        self.backend: Backend = loaded
        self.stop_ids = list(loaded.stop_ids)
        special = self.template.encoder.special
        # Tags of calls and thoughts are part of an answer's text, also where a tokenizer has them as special tokens.
        shown = (MARKERS | {OPEN, CLOSE}) & special.keys()
        silent = {index for token, index in special.items() if token not in shown}
        self._silent = silent if shown else set()
        texts = TokenTexts(self.tokenizer)
        self.grammars = Grammars(Tokens(self.tokenizer, lambda token: texts[token].bytes, silent, self.stop_ids))
        if isinstance(loaded, Masking):
            loaded.grammars = self.grammars

    @cached_property
    def token_ids(self) -> frozenset[int]:
        """The ids that stand for a token: rows of the model that stand for none were never trained."""
        known = known_tokens(self.tokenizer, None)
        return frozenset(known.ids if known else ())

    @classmethod
    def open(
        cls,
        run_or_path: str | PathLike[str],
        *,
        adapter: str | None = None,
        template: str | None = None,
        tool_format: str | None = None,
        dtype: Dtype = "auto",
        trust_remote_code: bool = False,
        quantization: QuantizationName = "none",
        revision: str | None = None,
        backend: BackendName = "auto",
        family: str = "auto",
        tokenizer: str | None = None,
        resize_embeddings: bool = False,
        rope_scaling: RopeScalingName | None = None,
        rope_factor: float | None = None,
        device_map: Literal["auto"] | None = None,
        tensor_parallel: int = 1,
        memory_share: float | None = None,
        adapters: Mapping[str, str] | None = None,
        inference_only: bool = False,
        say: Say = to_stderr,
    ) -> "Engine":
        """Load a run folder, model folder, adapter folder, embedded model or Hub id; on the GPU where there is one.

        A .gguf file is run by llama.cpp. The keywords are those of `ModelOptions`, where they are explained.

        Args:
            say: hears what was chosen where something was missing.

        Raises:
            ModelError: it cannot be found or loaded, is of another family, or lacks embeddings for its tokenizer.
            RenderError: the template or tool format is unknown or does not fit the tokenizer.
            ServeError: no template suits the tokenizer; or vLLM or llama.cpp is asked for and not installed, or for what it
                cannot do.
        """
        options = ModelOptions(
            adapter=adapter,
            template=template,
            tool_format=tool_format,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            quantization=quantization,
            revision=revision,
            backend=backend,
            family=family,
            tokenizer=tokenizer,
            resize_embeddings=resize_embeddings,
            rope_scaling=rope_scaling,
            rope_factor=rope_factor,
            device_map=device_map,
            tensor_parallel=tensor_parallel,
            memory_share=memory_share,
            adapters=adapters or {},
            inference_only=inference_only,
        )
        return cls.with_options(fspath(run_or_path), options, say)

    @classmethod
    def with_options(cls, run_or_path: str, options: ModelOptions, say: Say = to_stderr) -> "Engine":
        """As `open`, with the options as one value."""
        asked = ModelRequest.of(run_or_path, options, say)
        if options.backend == "llamacpp" or is_gguf(run_or_path):
            opened = on_llamacpp(asked)
        else:
            opened = on_vllm(asked) if options.backend == "vllm" else on_torch(asked)
        loaded, only = opened.backend, options.inference_only
        return cls(opened.model, opened.tokenizer, opened.template, opened.origin, loaded, only)

    def make_ready(self) -> None:
        """Do what the first answer would wait for: lay the weights out, where `inference_only` asks for that."""
        if isinstance(self.backend, Decoder):
            self.backend.make_ready()

    @property
    def context(self) -> int | None:
        """Most tokens of prompt and answer together, or None where the model sets no limit."""
        return self.backend.context

    def prepare(
        self, prompt: Prompt, sampling: Sampling, prefill: str = "", template: ChatTemplate | None = None
    ) -> EncodedPrompt:
        """Token ids for a prompt, with the oldest turns dropped where it is too long; `prefill` as in `prompts.prepare`.

        `template`: this engine's own under other settings.

        Raises:
            ServeError: it is empty, or one question alone is too long; or as `require`.
            RenderError: the template cannot render it, or it spells a special token.
        """
        if sampling.constraint is not None and not isinstance(prompt, EncodedPrompt):
            self.require(sampling.constraint)
        return prepare(prompt, template or self.template, self.context, sampling.max_new_tokens, prefill)

    def require(self, constraint: Constraint) -> None:
        """Make ready for answers that keep a constraint; what was required once costs nothing.

        Raises:
            ServeError: the backend cannot hold answers to one, llguidance is not installed, or the schema asks for what it
                cannot keep.
        """
        if not isinstance(self.backend, Masking):
            raise ServeError(
                "this model's backend (vLLM, llama.cpp) cannot hold answers to a JSON schema; load the model from its "
                "folder, without --backend"
            )
        self.grammars.require(constraint)

    def chat(
        self,
        prompt: Prompt,
        sampling: Sampling | None = None,
        *,
        system: str | None = None,
        json_schema: Mapping[str, object] | None = None,
        **settings: Any,
    ) -> Completion:
        """Answer one question, or the last turn of a conversation.

        Args:
            prompt: text of a user, or turns.
            sampling: how tokens are drawn; None: greedy, at most 256 tokens.
            system: a system message before a text.
            json_schema: a JSON schema that the answer keeps.
            settings: fields of `Sampling` in place of one: `max_new_tokens=64, temperature=0.7, seed=1`.

        Raises:
            ServeError, RenderError: as `prepare`; or a setting out of its range.
        """
        if sampling is not None and settings:
            raise ServeError(f"give either a Sampling or {', '.join(settings)}, not both")
        if system is not None:
            if not isinstance(prompt, str):
                raise ServeError("system goes with a text; a conversation holds its own system turn")
            prompt = [Message("system", system), Message("user", prompt)]
        sampling = sampling or Sampling(**settings)
        if json_schema is not None:
            sampling = replace(sampling, constraint=Constraint.json_schema(json_schema))
        return self.generate([prompt], sampling)[0]

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling = GREEDY,
        *,
        batch_size: int = 8,
        numbers: Sequence[int] | None = None,
    ) -> list[Completion]:
        """Answer every prompt, in the order given.

        Prompts of similar length share a batch. `numbers` are the prompts' in a larger whole (default: from 0), so that a
        long list can be answered in pieces with the same result.

        Raises:
            ServeError, RenderError: as `prepare`, before anything is generated; or the backend's ServeError.
        """
        if isinstance(prompts, str):
            raise ServeError("generate takes a list of prompts; for one question there is Engine.chat")
        if batch_size < 1:
            raise ServeError(f"batch_size is {batch_size}; allowed: at least 1")
        encoded, sampling = [self.prepare(prompt, sampling) for prompt in prompts], self.settled(sampling)
        answers = self._run(encoded, sampling, 1, batch_size, numbers or range(len(encoded)))
        return [self._completion(r, ids, sampling) for r, (ids,) in zip(encoded, answers)]

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
        encoded = [self.prepare(ids, sampling) for ids in prompts]
        numbers = range(first_index, first_index + len(encoded))
        return self._run(encoded, self.settled(sampling), n, batch_size, numbers)

    def settled(self, sampling: Sampling) -> Sampling:
        """With the template's own stop texts: those of its stops that are no token of this tokenizer.

        Raises:
            ServeError: the backend would not keep a setting; or `logit_bias` names what is no token.
        """
        if isinstance(self.backend, Choosy):
            self.backend.check(sampling)
        odd = [token for token, _ in sampling.logit_bias if self.token_ids and token not in self.token_ids]
        if odd:
            raise ServeError(
                f"logit_bias: {odd[0]} is no token of this model; allowed: ids from 0 to {max(self.token_ids)}"
            )
        texts = self.template.stop_texts
        return replace(sampling, stop=tuple(dict.fromkeys([*sampling.stop, *texts]))) if texts else sampling

    def _run(
        self, encoded: Sequence[EncodedPrompt], sampling: Sampling, n: int, batch_size: int, numbers: Sequence[int]
    ) -> list[list[list[int]]]:
        if not encoded:
            return []
        ends = _stop_text_ends(self._decode, sampling, n * len(encoded)) if sampling.stop else None
        seeds = [[row_seed(sampling.seed, number * n + j) for j in range(n)] for number in numbers]
        return self.backend.run([r.ids for r in encoded], sampling, seeds, batch_size=batch_size, ends=ends)

    def stream(
        self,
        prompt: Prompt,
        sampling: Sampling = GREEDY,
        *,
        index: int = 0,
    ) -> Generator[str, None, Completion]:
        """Answer one prompt piece by piece; the pieces are whole characters and together the answer's text.

        The generator's return value is the `Completion`. Closing it stops the model after the token it is at.

        Raises:
            ServeError, RenderError: as `prepare`, at once; or the backend's ServeError while iterating.
        """
        return self._stream(self.prepare(prompt, sampling), self.settled(sampling), row_seed(sampling.seed, index))

    def _stream(self, encoded: EncodedPrompt, sampling: Sampling, seed: int) -> Generator[str, None, Completion]:
        job = StreamThread(self.backend, encoded.ids, sampling, seed)
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
        return self._completion(encoded, ids, sampling)

    def _completion(self, encoded: EncodedPrompt, ids: list[int], sampling: Sampling) -> Completion:
        ended = bool(ids) and ids[-1] in self.stop_ids
        text = TextStream(self._decode, sampling.stop)
        pieces = [text.push(token) for token in (ids[:-1] if ended else ids)]
        pieces.append(text.finish())
        stopped = ended or text.stopped
        return Completion("".join(pieces), ids, stopped, len(encoded.ids), encoded.dropped_turns, encoded.thinking)

    def text(self, ids: Sequence[int]) -> str:
        """The text of an answer's token ids; special tokens have none."""
        return self._decode(list(ids))

    def _decode(self, ids: list[int]) -> str:
        if self._silent:
            return self.template.encoder.decode([i for i in ids if i not in self._silent])
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _stop_text_ends(decode: Callable[[list[int]], str], sampling: Sampling, rows: int) -> StopCallback:
    texts = [TextStream(decode, sampling.stop) for _ in range(rows)]

    def ends(row: int, token: int) -> bool:
        texts[row].push(token)
        return texts[row].stopped

    return ends
