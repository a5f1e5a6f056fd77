"""The frozen model that an objective compares its policy with."""

from medicalgpt.config.base import ReferenceChoice, StageConfig
from medicalgpt.config.sections import ModelConfig
from medicalgpt.errors import ConfigError
from medicalgpt.models.load import Quantization, load
from medicalgpt.models.locate import locate
from medicalgpt.models.passes import Passes
from medicalgpt.models.policy import Batching, CausalPolicy
from medicalgpt.models.probe import probe
from medicalgpt.models.shard import Sharding
from medicalgpt.models.trial import Trial
from medicalgpt.training.placing import place
from medicalgpt.training.policy import keep_differentiable, keep_trained
from medicalgpt.training.sharding import opened


def reference_kind(config: StageConfig, choice: ReferenceChoice) -> str:
    """Where the reference comes from: "adapter_off", "model" or "cached".

    Raises:
        ConfigError: adapter_off without a fresh adapter: the base would not be the model that training started from.
    """
    kind = choice.reference
    base = locate(config.model.base, config.model.at, config.model.trust_remote_code)
    continued = config.model.adapter or base.is_adapter
    fresh = config.lora.enabled and not continued and config.lora.variant != "pissa"
    if kind == "auto":
        return "adapter_off" if fresh else "cached"
    if kind == "adapter_off" and not fresh:
        raise ConfigError(
            "objective.reference=adapter_off needs a fresh LoRA adapter (lora.enabled, no model.adapter, no pissa): only then "
            "is the base with the adapter off the model that training starts from; use cached or model"
        )
    return kind


def load_reference(
    config: StageConfig, choice: ReferenceChoice, batching: Batching, sharding: Sharding | None = None
) -> CausalPolicy:
    """The second, frozen model that the objective was asked to compare with."""
    name = choice.reference_model or config.model.base
    adapter = None if choice.reference_model else config.model.adapter
    own = {"revision": None, "commit": choice.reference_commit, "rope_scaling": None, "rope_factor": None}
    other = {**own, "adapter_commit": None} if choice.reference_model else {}
    model = config.model.model_copy(update={"base": name, "adapter": adapter, **other})
    return open_reference(model, config.quantization, batching, sharding)


def open_reference(
    model: ModelConfig,
    quantization: Quantization,
    batching: Batching,
    sharding: Sharding | None = None,
    keep: bool = False,
) -> CausalPolicy:
    """A frozen model that runs batches as the policy does.

    Args:
        sharding: how it is divided, if it is to be; `keep` as in `Sharding.divide`.

    Raises:
        ConfigError: it cannot.
    """

    def load_own() -> CausalPolicy:
        loaded = load(model, quantization, None, as_stored=sharding is not None)
        if sharding is None:
            place(loaded.model)
        keep_differentiable(loaded.model)  # so that it rounds as the policy does, and the first margin is exactly 0
        reference = CausalPolicy(loaded.model)
        keep_trained(reference, set())
        if sharding is not None:
            reference.passes = Passes.divided(sharding, loaded.model, reference, keep=keep, widen=loaded.widen)
        return reference

    reference = opened(sharding, load_own)
    found = probe(reference.model, batching, Trial(run=reference.passes.trial))
    reference.passes.free()
    if found.batching != batching:
        raise ConfigError(f"the reference model cannot run {batching} batches as the policy does: {found.reason}")
    reference.take(found.batching, found.chunked_head)
    return reference
