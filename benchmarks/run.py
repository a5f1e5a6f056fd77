"""Ours and the baselines (TRL, transformers) on the same rows, one after the other on this machine; prints ratios and writes a report.

The baselines and their rows lie outside this project (folder shared/bench beside it, or MEDICALGPT_BENCH).
usage: run.py [-n 64] [--pairs 24] [--only preparation,sft,full,dpo,rm,orpo,ppo,rollouts,inference] [--write docs/performance.md]
"""

import argparse
import os
import platform
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

HERE = Path(__file__).resolve().parent
BENCH = Path(os.environ.get("MEDICALGPT_BENCH", HERE.parents[1] / "shared" / "bench"))
SMOLLM_LAYERS, SMOLLM_HEAD = 106_203_456, 49152 * 576  # parameters in matrix products of the layers, and of the head


def run(*command: str) -> dict[str, float]:
    """Run one benchmark process; its last line's key=value pairs as numbers."""
    print("$", " ".join(Path(c).name if c.startswith("/") else c for c in command), flush=True)
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    line = done.stdout.strip().splitlines()[-1]
    print(line, flush=True)
    return {k: float(v) for k, v in re.findall(r"(\w+)=([0-9.]+)(?=\s|$)", line)}


def peak() -> float:
    """GEMM peak in GFLOP/s, measured now."""
    text = subprocess.run(
        [sys.executable, str(BENCH / "gemm_peak.py")], capture_output=True, text=True, check=True
    ).stdout
    return float(re.findall(r"peak ([0-9.]+)", text)[0])


def preparation() -> list[tuple[str, str, float]]:
    """Table rows of reading and rendering: against datasets.map with as many processes, and how time grows with turns."""
    found = run(str(HERE / "preparation.py"), "--processes", str(os.cpu_count()))
    ours, theirs = found["rows_per_second"], found["map_rows_per_second"]
    out = [("preparation: ours / datasets.map, rows/s", f"{ours:.0f} / {theirs:.0f}", found["ratio"])]
    names = ("prepare", "inspect", "prompt")
    return out + [
        (f"{name}: slope of log time over log turns / linear", f"{found[name]:.2f} / 1", found[name]) for name in names
    ]


def rollouts(model: str) -> list[tuple[str, str, float]]:
    """Table rows of sampled answers: 32 of equal length, 128 of their own lengths."""
    out = []
    for kind, n in (("equal", 32), ("varied", 128)):
        mine, theirs = (
            run(str(HERE / "rollouts.py"), side, kind, model, "--rows", str(BENCH), "-n", str(n))
            for side in ("ours", "theirs")
        )
        rate, gib = (f"{mine[key]} / {theirs[key]}" for key in ("tokens_per_second", "peak_gib"))
        ratio = mine["tokens_per_second"] / theirs["tokens_per_second"]
        out.append((f"rollouts, {n} answers of {kind} length: ours / transformers, tokens/s", rate, ratio))
        out.append((f"rollouts, {n}: peak GiB", gib, mine["peak_gib"] / theirs["peak_gib"]))
    return out


def inference(model: str) -> list[tuple[str, str, float]]:
    """Table rows of 32 answers of 64 tokens, ours together and one by one against transformers one by one."""
    together, alone, theirs = (
        run(str(HERE / "rollouts.py"), side, "equal", model, "--rows", str(BENCH))["tokens_per_second"]
        for side in ("ours", "alone", "singly")
    )
    return [
        (f"inference, 32 answers: ours {how} / transformers one by one, tokens/s", f"{mine} / {theirs}", mine / theirs)
        for how, mine in (("together", together), ("one by one", alone))
    ]


def rows_of(part: str, model: str, n: int, pairs: int) -> list[tuple[str, str, float]]:
    """Table rows (what, ours against baseline, ratio) of one part."""
    ours, rate = [str(HERE / "ours.py")], "tokens_per_second"
    if part == "preparation":
        return preparation()
    if part == "rollouts":
        return rollouts(model)
    if part == "inference":
        return inference(model)
    if part in ("sft", "full"):
        more = ["--full"] if part == "full" else []
        mine = run(*ours, "sft", model, "--rows", str(BENCH), "-n", str(n), *more)
        padded = run(str(BENCH / "trl_sft.py"), model, "-n", str(n), *more)
        out = [
            (
                f"{part}: ours / TRL padded, tokens/s",
                f"{mine[rate]:.1f} / {padded[rate]:.1f}",
                mine[rate] / padded[rate],
            )
        ]
        out += [
            (
                f"{part}: peak GiB, ours / TRL",
                f"{mine['peak_gib']} / {padded['peak_gib']}",
                mine["peak_gib"] / padded["peak_gib"],
            )
        ]
        if part == "sft":
            packed = run(str(BENCH / "trl_sft.py"), model, "-n", str(n), "--packing")
            out.insert(
                1,
                (
                    "sft: ours / TRL packed, tokens/s",
                    f"{mine[rate]:.1f} / {packed[rate]:.1f}",
                    mine[rate] / packed[rate],
                ),
            )
            return out
        top = peak()
        for name, when in (("", "whole run"), ("steady_", "steps from the third on")):
            flops = 6 * SMOLLM_LAYERS * mine[f"{name}tokens"] + 6 * SMOLLM_HEAD * mine[f"{name}trained"]
            gflops = flops / mine[f"{name}seconds"] / 1e9
            share = (
                f"full: share of the GEMM peak of this run, {when}",
                f"{gflops:.1f} / {top:.1f} GFLOP/s",
                gflops / top,
            )
            out.append(share)
        return out
    if part in ("rm", "orpo"):
        return pair_rows(part, model, pairs)
    if part == "ppo":
        return ppo_rows(model)
    rate = "pairs_per_second"
    mine = run(*ours, "dpo", model, "--rows", str(BENCH), "-n", str(pairs))
    cached = run(*ours, "dpo", model, "--rows", str(BENCH), "-n", str(pairs), "--cached")
    theirs = run(str(BENCH / "trl_dpo.py"), model, "-n", str(pairs))
    return [
        ("dpo: ours / TRL, pairs/s", f"{mine[rate]:.3f} / {theirs[rate]:.3f}", mine[rate] / theirs[rate]),
        (
            "dpo: ours with cached reference / TRL",
            f"{cached[rate]:.3f} / {theirs[rate]:.3f}",
            cached[rate] / theirs[rate],
        ),
        (
            "dpo: peak GiB, ours / TRL",
            f"{mine['peak_gib']} / {theirs['peak_gib']}",
            mine["peak_gib"] / theirs["peak_gib"],
        ),
    ]


def pair_rows(part: str, model: str, pairs: int) -> list[tuple[str, str, float]]:
    """Reward model or ORPO against TRL."""
    rate, more = "pairs_per_second", [part, model, "--rows", str(BENCH), "-n", str(pairs)]
    mine, theirs = run(str(HERE / "ours.py"), *more), run(str(HERE / "trl_pairs.py"), *more)
    return [
        (f"{part}: ours / TRL, pairs/s", f"{mine[rate]:.3f} / {theirs[rate]:.3f}", mine[rate] / theirs[rate]),
        (
            f"{part}: peak GiB, ours / TRL",
            f"{mine['peak_gib']} / {theirs['peak_gib']}",
            mine["peak_gib"] / theirs["peak_gib"],
        ),
    ]


def ppo_rows(model: str) -> list[tuple[str, str, float]]:
    """PPO's memory with one base for all roles against a model for each, and what share of its time goes into sampling."""
    one, four = (run(str(HERE / "ppo_memory.py"), what, model, "--rows", str(BENCH)) for what in ("shared", "separate"))
    return [
        (
            "ppo: peak GiB, shared base / four models",
            f"{one['peak_gib']} / {four['peak_gib']}",
            one["peak_gib"] / four["peak_gib"],
        ),
        (
            "ppo: share of an update in rollouts (shared base)",
            f"{one['rollout_share'] * one['seconds']:.1f} / {one['seconds']:.1f} s",
            one["rollout_share"],
        ),
    ]


def main() -> None:
    """Run the parts asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=24)
    parser.add_argument("--only", default="preparation,sft,full,dpo,rm,orpo,ppo,rollouts,inference")
    parser.add_argument("--write", type=Path)
    a = parser.parse_args()
    if not BENCH.is_dir():
        sys.exit(
            f"no baselines at {BENCH}; set MEDICALGPT_BENCH to the folder that holds trl_sft.py, trl_dpo.py and rows.py"
        )
    from medicalgpt.models.locate import locate

    model, before = locate("smollm2-135m").folder, peak()
    table = [r for part in a.only.split(",") for r in rows_of(part, model, a.n, a.pairs)]
    lines = [
        "| measured | ours / theirs | ratio |",
        "|---|---|---|",
        *(f"| {x} | {y} | {z:.2f} |" for x, y, z in table),
    ]
    note = (
        f"{date.today()}, {os.cpu_count()} cores, {platform.machine()}, GEMM peak {before:.1f} → {peak():.1f} GFLOP/s; "
    )
    note += f"`benchmarks/run.py -n {a.n} --pairs {a.pairs} --only {a.only}`"
    print("\n".join([note, "", *lines]))
    if a.write:
        a.write.write_text("\n".join([note, "", *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
