"""Typed sections shared by the training stages. Every field says what it means; `medicalgpt config explain` prints it."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from medicalgpt.config.data_source import DataPath, check_shares
from medicalgpt.config.optimizers import GALORE_RANK, Optimizer
from medicalgpt.hub.address import is_commit

Encodings = Literal[
    "auto",
    "utf-8",
    "gb18030",
    "gbk",
    "big5",
    "big5-hkscs",
    "utf-16-le",
    "utf-16-be",
    "cp1252",
    "shift_jis",
    "euc-jp",
    "euc-kr",
]
TxtRows = Literal["file", "line"]


class Section(BaseModel):
    """A frozen group of keys in which unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def _one_commit(value: str) -> str:
    if not is_commit(value):
        raise ValueError("a commit has 40 hexadecimal digits; for a branch or tag write owner/name@branch")
    return value


Commit = Annotated[str, AfterValidator(_one_commit)]
"""The commit of a hub's repository, which a run notes beside a model's name."""


class ModelConfig(Section):
    """Which model, and how it is loaded."""

    base: str = Field(
        "smollm2-135m",
        description="An embedded model's name, a local model folder, a finished run folder, or a model of a hub: owner/name (Hugging Face), ms://owner/name (ModelScope).",
    )
    revision: str | None = Field(None, description="Branch, tag or commit of a hub's model.")
    commit: str | None = Field(None, description="The commit at which a hub's base is read; a run notes it here.")
    adapter: str | None = Field(
        None, description="A LoRA adapter folder, a run folder or an adapter of a hub to continue from."
    )
    adapter_commit: Commit | None = Field(
        None, description="The commit at which a hub's adapter is read; a run notes it here."
    )
    below: dict[str, Commit] = Field(
        default_factory=dict,
        description="The commits of bases of hubs that adapters name without one, by the address that they name; a run notes them here.",
    )
    tokenizer: str | None = Field(
        None,
        description="A folder made by `medicalgpt vocab extend` from this base: the embeddings grow for it, and adapters train the new rows.",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Weight type; auto takes bfloat16 on hardware that multiplies it fast, else float32."
    )
    rope_scaling: Literal["linear", "yarn"] | None = Field(
        None,
        description="Rotary positions for a longer context than the base's: linear (arXiv 2306.15595) or yarn (arXiv 2309.00071); null: its own.",
    )
    rope_factor: float | None = Field(
        None, gt=1, le=1024, description="With rope_scaling: how many times longer the context becomes."
    )
    trust_remote_code: bool = Field(
        False, description="Run Python code shipped inside the model folder. Off: such models are refused."
    )

    @field_validator("commit")
    @classmethod
    def _is_one(cls, value: str | None) -> str | None:
        if value is not None and not is_commit(value):
            raise ValueError("a commit has 40 hexadecimal digits; for a branch or tag set model.revision")
        return value

    @property
    def at(self) -> str | None:
        """The revision to read a hub's base at: the noted commit, else the one that was asked for."""
        return self.commit or self.revision

    @model_validator(mode="after")
    def _commit_of_an_adapter(self) -> Self:
        if self.adapter_commit and not self.adapter:
            raise ValueError("model.adapter_commit is the commit of model.adapter; set both or none")
        return self

    @model_validator(mode="before")
    @classmethod
    def _same_for_every_row(cls, values: object) -> object:
        if isinstance(values, dict) and values.get("rope_scaling") in ("dynamic", "longrope"):
            raise ValueError(
                f"rope_scaling={values['rope_scaling']} takes its frequencies from the longest row of a batch, so that a row would have "
                "other numbers beside a longer one; use yarn or linear"
            )
        return values

    @model_validator(mode="after")
    def _scaling_and_factor(self) -> Self:
        if (self.rope_scaling is None) != (self.rope_factor is None):
            raise ValueError(
                "rope_scaling and rope_factor belong together: which scaling, and how many times longer the context becomes; set both or none"
            )
        return self


class LoraConfig(Section):
    """Low-rank adapters (arXiv 2106.09685). With `enabled: false` every weight is trained."""

    enabled: bool = Field(True, description="Train adapters; false trains all weights.")
    rank: int = Field(8, ge=1, le=1024, description="Rank r of the update B·A.")
    alpha: float = Field(16.0, gt=0, description="The update is scaled by alpha / rank (rsLoRA: alpha / sqrt(rank)).")
    dropout: float = Field(0.0, ge=0, lt=1, description="Dropout on the adapter's input while training.")
    target_modules: Literal["all-linear", "family"] | list[str] = Field(
        "all-linear",
        description="All linear layers but the head, those that `models families` lists (no routers), or a list of module names.",
    )
    variant: Literal["lora", "rslora", "dora", "pissa"] = Field(
        "lora",
        description="lora, rslora (arXiv 2312.03732), dora (arXiv 2402.09353) or pissa initialization (arXiv 2404.02948).",
    )
    plus_ratio: float = Field(
        1.0,
        gt=0,
        description="LoRA+ (arXiv 2402.12354): learning rate of B over that of A; 1 is plain LoRA, 16 is usual.",
    )

    modules_to_save: list[str] = Field(
        default_factory=list,
        description="Modules trained whole beside the adapters and saved with them, by name or end of name, such as [embed_tokens, lm_head].",
    )

    @model_validator(mode="after")
    def _has_an_effect(self) -> Self:
        used = {"plus_ratio": self.plus_ratio != 1, "modules_to_save": bool(self.modules_to_save)}
        if not self.enabled and (lost := [name for name, is_set in used.items() if is_set]):
            raise ValueError(f"lora.{lost[0]} does nothing with lora.enabled=false; leave it out")
        if isinstance(self.target_modules, list) and (both := set(self.target_modules) & set(self.modules_to_save)):
            raise ValueError(
                f"lora.target_modules and lora.modules_to_save both name {', '.join(sorted(both))}; a module gets an adapter or is "
                "trained whole"
            )
        return self


class DataConfig(Section):
    """Which files, how they are read, split and cut."""

    train: list[DataPath] = Field(
        min_length=1,
        description="Files or folders (.jsonl .json .csv .tsv .xlsx .parquet .arrow .txt .md .docx .pdf .html .htm .xml, also with .gz .bz2 .xz .zst, or in a .zip), hf://owner/name or ms://owner/name; or {path: …, rows: 500, share: 0.3}.",
    )
    eval: list[DataPath] = Field(
        default_factory=list, description="Held-out files or folders; empty: eval_fraction of train is held out."
    )
    eval_fraction: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="Share of the distinct questions or documents held out when eval is empty (of the text where they differ much in length); 0 trains without a held-out set.",
    )
    max_tokens: int = Field(1024, ge=16, description="Longest path of a sample (prompt plus one answer) in tokens.")
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="Which column holds what, e.g. {question: 提问, answer: 回答}; empty: detected.",
    )
    encoding: Encodings = Field(
        "auto",
        description="What text files are in that have no byte order mark and are not valid UTF-8; auto finds GB18030 and Big5.",
    )
    txt: TxtRows = Field(
        "file", description="What a row of a .txt file is: the whole file is one document, or each line is one."
    )
    template: str | None = Field(
        None, description="A named chat template, a .jinja file, or null for the tokenizer's own."
    )
    tool_format: Literal["react", "qwen", "glm4", "llama3", "mistral"] | None = Field(
        None,
        description="How tools and calls are written where the template does not; null: the template's family decides, else react.",
    )
    system: str | None = Field(None, description="System message put before dialogues that have none.")
    on_bad_row: Literal["stop", "drop"] = Field(
        "stop", description="stop: the first bad row ends the run with file:line; drop: count it and go on."
    )
    max_bad_share: float = Field(
        0.05, ge=0, le=1, description="With on_bad_row=drop: stop when a larger share of the rows is bad."
    )
    over_length: Literal["truncate", "split", "drop"] = Field(
        "truncate",
        description="What happens to a sample longer than max_tokens. PT always splits, so that no token is lost.",
    )
    replay: list[DataPath] = Field(default_factory=list, description="General text mixed into PT against forgetting.")
    replay_share: float = Field(0.1, ge=0, lt=1, description="Share of the training tokens that comes from replay.")
    workers: int | None = Field(
        None,
        ge=1,
        description="Processes that read and render the data; null: one for every 4 MiB of it, up to all cores. The result is the same for any number.",
    )

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, values: object) -> object:
        if isinstance(values, dict):
            values = {
                k: [v] if k in ("train", "eval", "replay") and isinstance(v, str | dict) else v
                for k, v in values.items()
            }
            if isinstance(encoding := values.get("encoding"), str):  # whose names are written in any case
                values["encoding"] = encoding.lower()
        return values

    @model_validator(mode="after")
    def _shares(self) -> Self:
        for key in ("train", "eval", "replay"):
            check_shares(getattr(self, key), f"data.{key}", allowed=key == "train")
        return self


class OptimizerConfig(Section):
    """The optimizer, the schedule and the book-keeping that every stage has."""

    learning_rate: float = Field(2e-4, gt=0, description="Peak learning rate.")
    epochs: float = Field(1.0, gt=0, description="Passes over the training data; ignored when max_steps is set.")
    max_steps: int | None = Field(
        None, ge=1, description="Stop after this many optimizer steps (with rollouts: after this many updates)."
    )
    row_tokens: int | None = Field(
        None,
        ge=16,
        description="Tokens of one packed row (one forward pass); null: max_tokens, or twice that for preferences.",
    )
    warmup: float = Field(0.03, ge=0, description="Warm-up: a share of the steps when below 1, else a number of steps.")
    schedule: Literal["cosine", "linear", "constant", "wsd"] = Field(
        "cosine",
        description="Learning rate after warm-up; wsd holds, then decays over the last fifth (arXiv 2404.06395).",
    )
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay of matrices.")
    optimizer: Optimizer = Field(
        "adamw",
        description="adamw_8bit has its moments in 8 bits (arXiv 2110.02861); paged_…: and, on a GPU that is full, in main memory; adafactor: factored second moments (arXiv 1804.04235); muon: orthogonal steps of hidden matrices, AdamW for the rest (arXiv 2502.16982); galore: moments of projected gradients (arXiv 2403.03507).",
    )
    adam_beta1: float = Field(0.9, ge=0, lt=1, description="AdamW: decay of the mean gradient.")
    adam_beta2: float = Field(0.999, ge=0, lt=1, description="AdamW: decay of the mean squared gradient.")
    adam_epsilon: float = Field(1e-8, gt=0, description="AdamW: added to the root of the mean squared gradient.")
    galore_rank: int = Field(
        GALORE_RANK,
        ge=1,
        description="GaLore: directions that the gradient of a matrix is projected to; smaller matrices are not.",
    )
    galore_interval: int = Field(200, ge=1, description="GaLore: steps between two choices of these directions.")
    galore_scale: float = Field(
        0.25, gt=0, allow_inf_nan=False, description="GaLore: what a projected step is multiplied by."
    )
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this global norm.")
    seed: int = Field(42, ge=0, description="Seed of split, order, initialization, dropout and sampling.")
    eval_every: int | None = Field(
        None, ge=1, description="Held-out evaluation every so many steps; null: at the start and the end."
    )
    keep_best: str | None = Field(
        None,
        pattern=r"^(min:|max:)?eval/\S+$",
        description="Publish the model of the step where this held-out number was best, such as eval/loss; min:NAME or max:NAME where it is not known what is better. Step 0 counts, too. Needs eval_every.",
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="With keep_best: stop after so many evaluations in a row without a better number; null: never.",
    )
    save_every: int | None = Field(
        None, ge=1, description="Checkpoint every so many steps; null: by time alone (save_minutes)."
    )
    save_minutes: float | None = Field(
        10.0,
        gt=0,
        allow_inf_nan=False,
        description="Checkpoint when so many minutes have passed since the last one, and at the end; null: only by steps (save_every) and when interrupted.",
    )
    keep_checkpoints: int = Field(2, ge=1, description="How many checkpoints are kept.")
    log_every: int = Field(1, ge=1, description="Metrics every so many steps.")
    sample_count: int = Field(2, ge=0, le=64, description="How many held-out prompts are answered for samples.jsonl.")
    resume: Literal["auto", "never"] = Field(
        "auto", description="auto: go on from the last checkpoint of output_dir; never: refuse a folder that has one."
    )
    batching: Literal["auto", "tree", "padded"] = Field(
        "auto",
        description="tree packs samples with block attention; padded is for models that cannot; auto picks and says which.",
    )
    gradient_checkpointing: bool = Field(
        False, description="Recompute activations in the backward pass: less memory, about a third more time."
    )

    @model_validator(mode="after")
    def _has_an_effect(self) -> Self:
        for name in ("adam_beta1", "adam_beta2", "adam_epsilon"):
            if self.optimizer == "adafactor" and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(
                    f"{name} does nothing with optimizer=adafactor, which has no such moments; leave it out"
                )
        for name in ("galore_rank", "galore_interval", "galore_scale"):
            if self.optimizer != "galore" and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} does nothing with optimizer={self.optimizer}; leave it out, or set galore")
        return self

    @model_validator(mode="after")
    def _best_of_evaluations(self) -> Self:
        if self.keep_best is not None and self.eval_every is None:
            raise ValueError("keep_best chooses among the held-out evaluations; set eval_every, too")
        if self.patience is not None and self.keep_best is None:
            raise ValueError("patience waits for a better keep_best; set keep_best, too, such as keep_best=eval/loss")
        return self


class TrainConfig(OptimizerConfig):
    """What stages on fixed rows have beyond it."""

    tokens_per_step: int = Field(
        8192, ge=16, description="Tokens behind one optimizer step, over all processes and accumulation."
    )
    sample_every: int | None = Field(
        None,
        ge=1,
        description="Write sample answers to samples.jsonl every so many steps; null: at the start and the end.",
    )
    sample_tokens: int = Field(64, ge=1, description="Longest sample answer.")
    neftune_alpha: float = Field(
        0.0, ge=0, description="Noise on embeddings while training (arXiv 2310.05914); 0 is off, 5 is usual."
    )
