"""A chain of adapters as plain weights, for use, for the next stage and for other programs; with proof that it answers alike."""

import gc
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console
from torch import nn

from medicalgpt.config.sections import ModelConfig
from medicalgpt.disk.private import private_files
from medicalgpt.errors import ModelError
from medicalgpt.export import certificate
from medicalgpt.export.certificate import Certificate, Comparison, weights_hash
from medicalgpt.export.equivalence import LogProbFn, LogProbs, collect, compare, probe_prompts
from medicalgpt.export.evaluated import evaluated
from medicalgpt.export.lineage import lineage_of
from medicalgpt.export.logprobs import language_logprobs, score_logprobs
from medicalgpt.export.model_card import write_card
from medicalgpt.export.save import save_model
from medicalgpt.language import translated
from medicalgpt.models.adapters import attach
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.embeddings import grow, rows
from medicalgpt.models.load import Loaded, load, load_base, load_tokenizer, pick_dtype
from medicalgpt.models.locate import Located, locate
from medicalgpt.models.merge import Chain, find_chain, merge_adapter
from medicalgpt.models.rope import agreed
from medicalgpt.models.scorer import MERGED_FROM
from medicalgpt.models.token_map import TokenMap
from medicalgpt.models.tokenizers import require_map
from medicalgpt.rendering.build import tokenizer_hash
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.runs import manifest
from medicalgpt.runs.bases import check_base
from medicalgpt.runs.folder import MERGED, RunFolder
from medicalgpt.runs.hashes import hash_file
from medicalgpt.runs.reward_report import FILE as REWARD_REPORT
from medicalgpt.runs.staging import staged

Dtype = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Merged:
    """What came out of a merge: the certificate, and per adapter how far its base could be checked."""

    certificate: Certificate
    checks: list[str]


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """A hidden folder that becomes `output`, which must not be there yet, when the block ends well.

    Raises:
        ModelError: something is there already. RunError: the disk failed.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ModelError(f"{output} exists already; name another --output or remove it")
    with staged(output, str(output), lambda: "Nothing else was changed") as temp:
        yield temp


def merge_adapters(
    model: str,
    adapters: list[str],
    output: Path,
    *,
    dtype: Dtype = "auto",
    template: str | None = None,
    allow_drift: bool = False,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> Merged:
    """Write the full weights of `model` with its adapters folded in, one after the other, into a new folder.

    Raises:
        ModelError: nothing to merge, an adapter of another base, or a result that differs beyond the tolerance.
        RenderError: a tokenizer without a chat template and none named. RunError: the disk failed.
    """
    chain = find_chain(model, adapters, revision, trust_remote_code)
    with new_folder(output) as temp:
        merge = _Merge(chain, pick_dtype(dtype), template, allow_drift, trust_remote_code)
        return merge.write(temp, output.name)


def merge_adapter_checked(model: nn.Module) -> tuple[nn.Module, Certificate]:
    """The model with its adapter folded in, in memory, and the certificate of that.

    Raises:
        ModelError: as `merge_adapter`, or the result differs beyond the tolerance.
    """
    prompts = probe_prompts(rows(model))
    expected = collect(language_logprobs(model), prompts)
    folded = merge_adapter(model)
    kind = str(next(folded.parameters()).dtype).removeprefix("torch.")
    difference = compare(expected, language_logprobs(folded), prompts)
    certificate = Certificate(f"merge-{kind}", [Comparison("adapter on its base", "merged", difference)])
    certificate.check()
    return folded, certificate


@private_files()
def merge_run(folder: Path, console: Console, trust_remote_code: bool = False) -> None:
    """Fold a finished run's adapter into its base, into the folder `merged` beside it, once; checked by the certificate.

    Args:
        trust_remote_code: the base may run Python code of its own, which goes along into the folder.

    Raises:
        RunError: the run is not finished. ModelError: the merged model differs.
    """
    manifest.read(folder)
    stamp = hash_file(folder / manifest.NAME)
    done = folder / MERGED / MERGED_FROM
    if (
        done.is_file()
        and done.read_text(encoding="utf-8").strip() == stamp
        and (folder / MERGED / certificate.NAME).is_file()
    ):
        return
    merge = _Merge(
        find_chain(str(folder), trust_remote_code=trust_remote_code),
        pick_dtype("auto"),
        trust_remote_code=trust_remote_code,
    )
    with RunFolder(folder).publishing(MERGED) as temp:
        merged = merge.write(temp, f"{folder.resolve().name}-{MERGED}")
        (temp / MERGED_FROM).write_text(stamp + "\n", encoding="utf-8")
    console.print(translated(f"merged into the base: {merged.certificate.summary()}"), highlight=False)


@dataclass
class _Merge:
    """Folding a chain link by link in fp32, each one compared; the last one with what is read back from the disk."""

    chain: Chain
    dtype: torch.dtype
    template: str | None = None
    allow_drift: bool = False
    trust_remote_code: bool = False

    def write(self, temp: Path, name: str) -> Merged:
        """Fill the hidden folder `temp` of a model that will be called `name`."""
        checks = [
            check_base(adapter, self.chain.base, below)
            for adapter, below in zip(self.chain.adapters, (None, *self.chain.adapters))
        ]
        comparisons, expected, prompts = self._fold_and_save(temp)
        gc.collect()  # one model at a time
        comparisons.append(self._read_back(temp, expected, prompts))
        done = Certificate(
            f"merge-{str(self.dtype).removeprefix('torch.')}",
            comparisons,
            "score" if self.chain.head == "score" else "log-probability",
            self.allow_drift,
        )
        done.write(temp)
        lineage = lineage_of(self.chain.base, self.chain.adapters).then(done)
        lineage.write(temp)
        last = evaluated(self.chain.adapters[-1], changed=True)
        write_card(temp, name, lineage, kind=self.chain.head, found=last)
        return Merged(done, checks)

    def _fold_and_save(self, temp: Path) -> tuple[list[Comparison], list[LogProbs], list[list[int]]]:
        first, *others = self.chain.adapters
        head = self.chain.head
        loaded = load(self._config(self.chain.base, first), head=head)
        chosen = ChatTemplate.for_documents(loaded.tokenizer, self.template)
        prompts = _prompts(loaded, chosen)
        comparisons: list[Comparison] = []
        expected = collect(self._logprob_fn(loaded.model), prompts)
        loaded.model = merge_adapter(loaded.model)
        for link, adapter in enumerate(others, 2):
            agreed(loaded.rope, adapter)
            difference = compare(expected, self._logprob_fn(loaded.model), prompts)
            comparisons.append(Comparison(f"adapter {link - 1} on its base", f"adapter {link - 1} merged", difference))
            if self._grow_for(adapter, loaded):
                chosen = ChatTemplate.for_documents(loaded.tokenizer, self.template)
                prompts = _prompts(loaded, chosen)
            loaded.model = attach(loaded.model, None, adapter, quantized=False, head=head)
            expected = collect(self._logprob_fn(loaded.model), prompts)
            loaded.model = merge_adapter(loaded.model)
        loaded.model.to(self.dtype)
        save_model(temp, loaded, chosen)
        last = Path(self.chain.adapters[-1].folder)
        if (last / REWARD_REPORT).is_file():
            shutil.copy(last / REWARD_REPORT, temp / REWARD_REPORT)
        return comparisons, expected, prompts

    def _read_back(self, temp: Path, expected: list[LogProbs], prompts: list[list[int]]) -> Comparison:
        """The last adapter against the folder as anyone will load it."""
        again = load_base(locate(str(temp), None, self.trust_remote_code), self._config(temp), head=self.chain.head)
        last = self.chain.adapters[-1]
        return Comparison(
            f"adapter {len(self.chain.adapters)} on its base",
            "merged weights as saved",
            compare(expected, self._logprob_fn(again), prompts),
            weights_hash(Path(last.folder)) if last.is_adapter else None,
            weights_hash(temp),
        )

    def _config(self, base: Located | Path, adapter: Located | None = None) -> ModelConfig:
        """Always fp32: a sum in lower precision would round the adapter away before it is compared."""
        place = base if isinstance(base, Located) else Located(str(base), "model")
        return ModelConfig(
            base=place.address,
            adapter=None if adapter is None else adapter.address,
            dtype="float32",
            trust_remote_code=self.trust_remote_code,
        )

    def _logprob_fn(self, model: nn.Module) -> LogProbFn:
        return score_logprobs(model) if self.chain.head == "score" else language_logprobs(model)

    def _grow_for(self, adapter: Located, loaded: Loaded) -> bool:
        """Adapters of one chain read the same tokens, or one extends those of the links before it; whether it does."""
        folder = Path(adapter.folder)
        if not (folder / "tokenizer_config.json").is_file():
            return False
        theirs = load_tokenizer(adapter.folder, self.trust_remote_code)
        if tokenizer_hash(theirs) == tokenizer_hash(loaded.tokenizer):
            return False
        token_map = TokenMap.read(folder)
        if token_map is None:
            raise ModelError(
                f"{adapter.name} has another tokenizer ({len(theirs)} tokens) than the adapters before it "
                f"({len(loaded.tokenizer)}); a chain is trained with one tokenizer, or extends it (medicalgpt vocab extend)"
            )
        grow(
            unwrap(loaded.model), require_map(token_map, folder, theirs, loaded.tokenizer, "of the adapters before it")
        )
        loaded.tokenizer = theirs
        return True


def _prompts(loaded: Loaded, template: ChatTemplate) -> list[list[int]]:
    """What the model is asked before and after; without dialogues where there is no template to write them with."""
    return probe_prompts(rows(loaded.model), None if template.documents_only else template)
