"""From a full-precision model to a quantized one in a folder of its own, compared and measured before anyone sees it."""

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import nn

from medicalgpt.config.sections import ModelConfig
from medicalgpt.errors import ModelError
from medicalgpt.export.certificate import Certificate, Comparison, weights_hash
from medicalgpt.export.cost import Cost, default_text, measure, read_text
from medicalgpt.export.equivalence import LogProbs, collect, compare, probe_prompts
from medicalgpt.export.evaluated import evaluated
from medicalgpt.export.lineage import lineage_of
from medicalgpt.export.logprobs import language_logprobs
from medicalgpt.export.merge import new_folder
from medicalgpt.export.model_card import write_card
from medicalgpt.export.save import save_model
from medicalgpt.generate.engine import Engine
from medicalgpt.kernels.device import own_device
from medicalgpt.models.embeddings import rows
from medicalgpt.models.load import Loaded, Quantization, load
from medicalgpt.models.locate import Located, locate
from medicalgpt.models.quantized import quantize_for_cpu, refuse_quantized
from medicalgpt.rendering.template import ChatTemplate
from medicalgpt.runs.hashes import hash_text

Method = Literal["int8", "nf4", "cpu-int8", "cpu-int4"]


@dataclass(frozen=True)
class Quantized:
    """The certificate, and what was measured before and after."""

    certificate: Certificate
    before: Cost
    after: Cost


def quantize(
    model: str,
    output: Path,
    method: Method,
    *,
    text: Path | None = None,
    template: str | None = None,
    allow_drift: bool = False,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> Quantized:
    """Quantize a whole model's weights into a new folder that `Engine.open` loads.

    `int8` and `nf4` are bitsandbytes' (GPU or CPU), `cpu-int8` and `cpu-int4` our own for the CPU.

    Raises:
        ModelError: an adapter (merge it first), a reward model, quantized weights, or a result beyond the tolerance.
        DataError: the text cannot be read. ServeError, RenderError: no chat template. RunError: the disk failed.
    """
    sample = read_text(text or default_text())
    found = locate(model, revision, trust_remote_code)
    if found.is_adapter:
        raise ModelError(
            f"{model} is an adapter; merge it into its base first: medicalgpt merge --model {model} --output …"
        )
    refuse_quantized(found, "be quantized again")
    with new_folder(output) as temp:
        job = _Job(found, method, template, trust_remote_code, sample)
        done = job.write(temp, allow_drift)
        lineage = lineage_of(found).then(done.certificate)
        lineage.write(temp)
        write_card(temp, output.name, lineage, found=evaluated(found, changed=True))
        return done


@dataclass
class _Job:
    found: Located
    method: Method
    template: str | None
    trust_remote_code: bool
    text: str

    def write(self, temp: Path, allow_drift: bool) -> Quantized:
        """Measure, quantize and save into the hidden folder, read back, measure again and compare."""
        before, expected, prompts = self._quantize_and_save(temp)
        gc.collect()  # one model at a time
        again = Engine.open(str(temp), dtype="float32", trust_remote_code=self.trust_remote_code)
        assert again.model is not None
        weights = Path(self.found.folder)
        comparison = Comparison(
            "full precision (float32)",
            self.method,
            compare(expected, language_logprobs(again.model), prompts),
            weights_hash(weights) if weights.is_dir() else None,
            weights_hash(temp),
        )
        after = measure(again, self.text, temp)
        measured: dict[str, object] = {
            "before": before.as_dict(),
            "after": after.as_dict(),
            "text": f"SHA-256 {hash_text(self.text)[:16]}…, {len(self.text)} characters",
        }
        certificate = Certificate(self.method, [comparison], allow_drift=allow_drift, measured=measured)
        certificate.write(temp)
        return Quantized(certificate, before, after)

    def _quantize_and_save(self, temp: Path) -> tuple[Cost, list[LogProbs], list[list[int]]]:
        """What the full-precision model costs and says; the quantized one is on the disk then."""
        loaded = self._load("none")
        chosen = ChatTemplate.load(loaded.tokenizer, self.template)
        prompts = probe_prompts(rows(loaded.model), chosen)
        expected = collect(language_logprobs(loaded.model), prompts)
        cost = measure(Engine(loaded.model, loaded.tokenizer, chosen), self.text, Path(self.found.folder))
        if self.method == "cpu-int8" or self.method == "cpu-int4":
            quantize_for_cpu(loaded.model, self.method)
        else:
            loaded.model = nn.Identity()
            gc.collect()  # one model at a time
            loaded = self._load(self.method)
        save_model(temp, loaded, chosen)
        return cost, expected, prompts

    def _load(self, quantization: Quantization) -> Loaded:
        """The model in fp32; on the GPU where the quantized one will run there."""
        config = ModelConfig(
            base=self.found.address,
            dtype="float32",
            trust_remote_code=self.trust_remote_code,
        )
        loaded = load(config, quantization)
        if quantization == "none" and self.method in ("int8", "nf4"):
            loaded.model.to(own_device())
        return loaded
