"""One PPO update of real prompts: peak memory with one shared base, or with a model of its own for every role.

usage: ppo_memory.py {shared|separate} MODEL --rows FOLDER [-n 8]
shared: LoRA, the default. separate: lora.enabled=false, policy and critic trained in full, reference and reward model
frozen. The reward model is the base with a fresh score layer (and adapter): its quality plays no part here. Prints the
share of the update that sampling takes as well. FOLDER holds rows.py.
"""

import argparse
import json
import resource
import sys
import tempfile
from pathlib import Path

import torch


def reward_model(base: str, folder: Path, shared: bool) -> str:
    """A reward model on the policy's base: an adapter, or plain weights."""
    from medicalgpt.config.sections import LoraConfig, ModelConfig
    from medicalgpt.models.load import load

    torch.manual_seed(0)
    loaded = load(ModelConfig(base=base, dtype="float32"), lora=LoraConfig() if shared else None, head="score")
    loaded.model.save_pretrained(str(folder))  # type: ignore[operator]
    loaded.tokenizer.save_pretrained(str(folder))
    return str(folder)


def main() -> None:
    """Make the reward model in a process of its own, then run one update in this one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["shared", "separate", "prepare"])
    parser.add_argument("model")
    parser.add_argument("--rows", required=True)
    parser.add_argument("-n", type=int, default=8)
    parser.add_argument("--work", type=Path)
    a = parser.parse_args()
    shared = a.what != "separate"
    if a.what == "prepare":
        for name, one in (("shared", True), ("separate", False)):
            reward_model(a.model, a.work / f"rm-{name}", one)
        return
    work = a.work or Path(tempfile.mkdtemp())
    if not (work / f"rm-{a.what}").is_dir():
        import subprocess

        subprocess.run(
            [sys.executable, __file__, "prepare", a.model, "--rows", a.rows, "--work", str(work)], check=True
        )
    sys.path.insert(0, a.rows)
    from rows import qa_rows

    from medicalgpt.config.loader import load
    from medicalgpt.config.lookup import stage_schema
    from medicalgpt.models.load import load_tokenizer
    from medicalgpt.training.stage import run_stage

    rows = qa_rows(load_tokenizer(a.model), a.n, 512)
    (work / "prompts.jsonl").write_text("".join(json.dumps({"messages": r["prompt"]}) + "\n" for r in rows), "utf-8")
    words = [
        f"model.base={a.model}",
        "model.dtype=float32",
        f"data.train=[{work}/prompts.jsonl]",
        "data.eval_fraction=0",
        "data.max_tokens=512",
        f"reward.model={work}/rm-{a.what}",
        "reward.allow_weak_model=true",
        f"rollout.prompts={len(rows)}",
        "rollout.max_new_tokens=128",
        "train.max_steps=2",
        "train.row_tokens=1024",
        f"lora.enabled={str(shared).lower()}",
        f"output_dir={tempfile.mkdtemp(dir=work)}/run",
    ]
    outcome = run_stage(load(stage_schema("ppo"), None, words))
    last = json.loads((outcome.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"ppo {a.what} prompts={len(rows)} peak_gib={peak:.2f} seconds={last['train/seconds']:.1f} "
        f"rollout_share={last['train/rollout_share']:.3f} rollout_tokens_per_second={last['train/rollout_tokens_per_second']:.1f}"
    )


if __name__ == "__main__":
    main()
