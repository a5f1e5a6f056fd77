"""TRL's RewardTrainer or experimental ORPOTrainer (LoRA) on real preference pairs: pairs per second and peak memory.

usage: trl_pairs.py {rm|orpo} MODEL --rows FOLDER [-n 24]; FOLDER holds rows.py, which both sides take their rows from.
"""

import argparse
import resource
import sys
import tempfile
import time
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

COMMON: dict[str, Any] = {
    "per_device_train_batch_size": 4,
    "num_train_epochs": 1,
    "report_to": "none",
    "save_strategy": "no",
    "logging_steps": 1,
    "use_cpu": True,
    "bf16": False,
    "gradient_checkpointing": False,
    "learning_rate": 1e-5,
    "disable_tqdm": True,
}


def main() -> None:
    """Time one pass over the pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["rm", "orpo"])
    parser.add_argument("model")
    parser.add_argument("--rows", required=True)
    parser.add_argument("-n", type=int, default=24)
    parser.add_argument("--max-tokens", type=int, default=1024)
    a = parser.parse_args()
    sys.path.insert(0, a.rows)
    from rows import pair_rows

    tokenizer = AutoTokenizer.from_pretrained(a.model)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.unk_token
    rows = pair_rows(tokenizer, a.n, a.max_tokens)
    data = Dataset.from_list([{k: r[k] for k in ("prompt", "chosen", "rejected")} for r in rows])
    trainer = (reward_trainer if a.what == "rm" else orpo_trainer)(a.model, tokenizer, data, a.max_tokens)
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"trl {a.what} pairs={len(rows)} seconds={seconds:.1f} pairs_per_second={len(rows) / seconds:.3f} peak_gib={peak:.2f}"
    )


def reward_trainer(model: str, tokenizer: Any, data: Dataset, max_tokens: int) -> Any:
    """Bradley–Terry with TRL's defaults."""
    from trl import RewardConfig, RewardTrainer

    loaded = AutoModelForSequenceClassification.from_pretrained(model, num_labels=1, dtype=torch.float32)
    loaded.config.pad_token_id = tokenizer.pad_token_id
    lora = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="SEQ_CLS", modules_to_save=["score"])
    args = RewardConfig(output_dir=tempfile.mkdtemp(), max_length=max_tokens, **COMMON)
    return RewardTrainer(loaded, args=args, train_dataset=data, processing_class=tokenizer, peft_config=lora)


def orpo_trainer(model: str, tokenizer: Any, data: Dataset, max_tokens: int) -> Any:
    """Odds-ratio preference optimization with TRL's defaults."""
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer

    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    lora = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    args = ORPOConfig(output_dir=tempfile.mkdtemp(), max_length=max_tokens, **COMMON)
    return ORPOTrainer(loaded, args=args, train_dataset=data, processing_class=tokenizer, peft_config=lora)


if __name__ == "__main__":
    main()
