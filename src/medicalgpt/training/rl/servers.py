"""Who draws the answers of a run: this process, or servers that get the adapter before every update and are not trusted blindly.

Servers prove at the start that they use the adapter they were given: one that is made very different for a moment. After
that every update compares their log-probabilities with the trained model's (`health.max_logprob_gap`).
"""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

from medicalgpt.checkpoints.parts import whole_weights
from medicalgpt.config.rl import RlConfig
from medicalgpt.data.records import Source
from medicalgpt.errors import ConfigError, RunError
from medicalgpt.generate.engine import Engine
from medicalgpt.generate.sampling import Sampling
from medicalgpt.models.adapters import peft_model, stores_token_rows
from medicalgpt.models.causal_lm import unwrap
from medicalgpt.models.known_tokens import known_tokens_of
from medicalgpt.models.shard import as_held
from medicalgpt.rendering.batch import pack_trees
from medicalgpt.rendering.template import stop_ids
from medicalgpt.rendering.tree import chain
from medicalgpt.rewards.posting import require_allowed
from medicalgpt.training.context import Context
from medicalgpt.training.rl.process_group import ProcessGroup
from medicalgpt.training.rl.prompts import PromptSet
from medicalgpt.training.rl.roles import Roles
from medicalgpt.training.rl.rollout import RolloutSampler
from medicalgpt.training.rl.vllm_client import VllmServers
from medicalgpt.training.together import first_does

_ADAPTER = "default"
_SHIFT = 0.5
"""Standard deviation of what is added to the test adapter's B matrices, times the root of the rank."""
_PROOF = 16
"""Tokens of the answer that proves the adapter."""


def open_sampler(
    ctx: Context[RlConfig, PromptSet], config: RlConfig, roles: Roles, world: ProcessGroup
) -> RolloutSampler:
    """The sampler of a run.

    Raises:
        ConfigError: servers on other machines that were not allowed, or an adapter that vLLM cannot take.
        RunError: a server cannot be reached, or does not use the adapter that it was given.
    """
    model, tokenizer, rollout = roles.loaded.model, roles.loaded.tokenizer, config.rollout
    if rollout.backend == "own":
        if not roles.has_room():
            raise ConfigError(
                "rollout.backend=own needs the whole model on every device while answers are drawn, and one of them has no "
                "room for it; use rollout.backend=vllm with rollout.servers (adapters only), or a model that fits"
            )
        with roles.put_out():
            engine = Engine(model, tokenizer, ctx.template)
        return RolloutSampler(engine, rollout, config.train.seed, whole=roles.put_out)
    for url in rollout.servers:
        require_allowed(url, rollout.allow_remote, "rollout.servers", "rollout.allow_remote=true")
    if stores_token_rows(model):
        raise ConfigError(
            "rollout.backend=vllm: the adapter trains rows of new tokens, which vLLM does not take; merge it first"
        )
    network = unwrap(model)
    known = known_tokens_of(model, tokenizer)
    servers = VllmServers(
        rollout.servers[world.rank :: world.size] or [rollout.servers[world.rank % len(rollout.servers)]],
        stop_ids(ctx.template, getattr(network, "generation_config", None)),
        getattr(network.config.get_text_config(), "max_position_embeddings", None),
        rollout.timeout,
        None if known is None else known.ids,
    )
    place = Path(rollout.adapter_dir).expanduser() if rollout.adapter_dir else ctx.folder.path / "rollout"
    sync = AdapterSync(
        roles, servers, VllmServers(rollout.servers, [], None, rollout.timeout, None), place.resolve(), world
    )
    with ctx.phases.during("loading", f"handing the adapter to {len(rollout.servers)} servers and testing them"):
        sync.prove(list(ctx.prepared.train[0].ids))
    engine = Engine(None, tokenizer, ctx.template, loaded=servers)
    return RolloutSampler(engine, rollout, config.train.seed, sync.renew)


class AdapterSync:
    """Brings the policy's adapter to the servers, under a new name after every update."""

    def __init__(self, roles: Roles, own: VllmServers, every: VllmServers, folder: Path, world: ProcessGroup) -> None:
        """`own`: the servers that this process asks; `every`: all of them, which the first process tells."""
        self.roles, self.own, self.every, self.folder, self.world = roles, own, every, folder, world
        # Names are new in every start: a server may still hold the adapters of a run that died.
        self.token = first_does(lambda: uuid.uuid4().hex[:12])
        self.update: int | None = None

    def renew(self, update: int) -> None:
        """Have the servers use the weights after `update` updates."""
        if update != self.update:
            self._hand_over(f"{self.token}-{update}")
            self.update = update

    def _hand_over(self, name: str) -> None:
        self.roles.free()
        weights = whole_weights(self._adapter())
        first_does(lambda: self._load(name, self.own.name, weights))
        self.own.name = name

    def _adapter(self) -> dict[str, torch.nn.Parameter]:
        """The policy's adapter, of which this process may hold a part."""
        named = self.roles.loaded.model.named_parameters()
        return {n: p for n, p in named if f".{_ADAPTER}." in n and "lora_" in n}

    def _load(self, name: str, old: str, weights: dict[str, torch.Tensor]) -> None:
        folder = self.folder / name
        try:
            model = peft_model(self.roles.loaded.model)
            model.save_pretrained(str(folder), selected_adapters=[_ADAPTER], state_dict=weights)
        except OSError as error:
            raise RunError(f"{folder}: the adapter cannot be written for the servers: {error}") from None
        self.every.load(name, folder)
        if old:
            self.every.forget(old)
            shutil.rmtree(self.folder / old, ignore_errors=True)

    # -- the proof -------------------------------------------------------------------------------------------------------
    def prove(self, prompt: list[int]) -> None:
        """Have every server of this process answer with an adapter that is far from the fresh one.

        Raises:
            RunError: its log-probabilities are nearer to those of the base than to those of that adapter.
        """
        urls = self.own.urls
        with self._shifted():
            self._hand_over(f"{self.token}-proof")
            drawn = {url: self._drawn_by(url, prompt) for url in urls}
            near = self._gaps(prompt, drawn)
        far = self._gaps(prompt, drawn)
        wrong = [
            f"{url} ({near[url]:.3f} nats from the adapter, {far[url]:.3f} from the base)"
            for url in urls
            if near[url] >= far[url]
        ]
        if wrong := [one for part in self.world.gather(wrong) for one in part]:
            raise RunError(
                "rollout.servers: answers do not come from the adapter that was loaded, but from the base or another model: "
                f"{'; '.join(wrong)}. Start the servers with --enable-lora and the base of this run"
            )

    def _drawn_by(self, url: str, prompt: list[int]) -> tuple[list[int], list[float]]:
        """An answer of one server, and its log-probabilities."""
        one = VllmServers([url], [], None, self.own.timeout, self.own.known)
        one.name = self.own.name
        ((ids,),) = one.run([prompt], Sampling(_PROOF, temperature=1.0, min_new_tokens=_PROOF), [[7]])
        return ids, one.logps[0][0]

    def _gaps(self, prompt: list[int], drawn: dict[str, tuple[list[int], list[float]]]) -> dict[str, float]:
        """Mean absolute difference between each server's log-probabilities and the policy's, nats a token."""
        policy, device, found = self.roles.policy, self.world.device, list[torch.Tensor]()
        rows = [
            chain([*prompt, *ids], [0.0] * len(prompt) + [1.0] * len(ids), Source("rollout.servers", 0))
            for ids, _ in drawn.values()
        ]
        with torch.no_grad(), self.roles.precision():
            for batch in policy.passes.even((pack_trees([row]).to(device) for row in rows), "tree", device):
                found.append(policy.passes.run(partial(policy.logps, batch))[0].double().cpu())
        self.roles.free()
        return {
            url: float((logps - torch.tensor(said, dtype=torch.float64)).abs().mean())
            for (url, (_, said)), logps in zip(drawn.items(), found)
        }

    @contextmanager
    def _shifted(self) -> Iterator[None]:
        """While active the policy's adapter is far from a fresh one."""
        draws = torch.Generator().manual_seed(11)
        held = [p for n, p in self.roles.loaded.model.named_parameters() if f"lora_B.{_ADAPTER}" in n]
        before = [p.detach().clone() for p in held]
        try:
            with torch.no_grad():
                for p in held:
                    noise = torch.randn(p.shape, generator=draws).to(p.dtype) * (_SHIFT * p.shape[1] ** -0.5)
                    p.add_(as_held(noise.to(p.device), p))
            yield
        finally:
            with torch.no_grad():
                for p, value in zip(held, before, strict=True):
                    p.copy_(value)
