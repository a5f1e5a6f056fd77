"""Runs stages on several ranks over gloo, each a forked process: torch and transformers are imported once for all of them.

As a program: its argument is a JSON list of jobs, whose keys are the parameters of `Job`; a line of JSON a job comes back.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.stages import child

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Job:
    """One stage on `world` ranks.

    `die_at` kills every rank after that step. `wide` computes in float64. `env` is added to every rank's. With `hosts` each
    rank is a machine of its own: it works in its folder, with a cache there. `probe` is the name of a function of
    tests.probes. Of `words` the first is a stage, or "pipeline" and its file.
    """

    name: str
    world: int
    words: list[str]
    die_at: int | None = None
    wide: bool = True
    env: dict[str, str] = field(default_factory=dict)
    hosts: list[str] = field(default_factory=list)
    timeout: float = 120.0
    probe: str | None = None


@dataclass(frozen=True)
class Done:
    """Exit codes and output by rank; a rank that hung has code None."""

    codes: list[int | None]
    said: list[str]
    seconds: float


def assert_gone_on(done: dict[str, Done], world: int) -> None:
    """The job `dies N` was killed on both its ranks, and `goes on N` took up its checkpoint on so many."""
    assert done[f"dies {world}"].codes == [9, 9], done[f"dies {world}"].said
    assert set(done[f"goes on {world}"].codes) == {0}, done[f"goes on {world}"].said
    assert "resuming from" in done[f"goes on {world}"].said[0]


def run(jobs: list[Job], timeout: float = 1800.0) -> dict[str, Done]:
    """All jobs one after another in one process that forks ranks; by name."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    words = [sys.executable, "-m", "tests.ranks", json.dumps([vars(job) for job in jobs])]
    done = subprocess.run(words, env=child(PYTHONPATH=path), cwd=ROOT, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"job"')]
    return {line["job"]: Done(line["codes"], line["said"], line["seconds"]) for line in lines}


def _train(job: Job) -> int:
    from medicalgpt.config.loader import load
    from medicalgpt.config.lookup import stage_schema
    from medicalgpt.training.rl import loop
    from medicalgpt.training.stage import run_stage
    from medicalgpt.training.supervised import trainer
    from tests.numerics import float64

    if job.die_at is not None:
        init = trainer.StageTrainer.__init__

        def mortal(self: Any, *args: Any, **kwargs: Any) -> None:
            init(self, *args, **kwargs)
            self.add_callback(death(job.die_at, job.hosts))

        trainer.StageTrainer.__init__ = mortal  # type: ignore[method-assign]
        after = loop.RlTrainer._after

        def last(self: Any, *args: Any) -> Any:
            found = after(self, *args)
            if self.step == job.die_at:
                os._exit(9)
            return found

        loop.RlTrainer._after = last  # type: ignore[method-assign]
    if job.probe is not None:
        from tests import probes

        getattr(probes, job.probe)()
    stage, *words = job.words
    if stage == "pipeline":
        from medicalgpt.pipeline.run import run_pipeline

        with float64() if job.wide else contextlib.nullcontext():
            print(run_pipeline(words[0], words[1:]))
        return 0
    with float64() if job.wide else contextlib.nullcontext():
        outcome = run_stage(load(stage_schema(stage), None, words))
    print(outcome.status)
    return 0


def death(step: int | None, hosts: Sequence[str] = ()) -> Any:
    """Ends the process after a step, as a kill would, once there is a checkpoint: on a busy machine it comes later, as it is written
    behind the training, and what is tested is going on from it. Of several hosts only one may have it."""
    from transformers import TrainerCallback

    class Death(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == step:
                run = os.path.relpath(args.output_dir)
                written = [Path(host, run, "checkpoints") for host in hosts or ["."]]
                until = time.monotonic() + 30
                while not any(any(place.glob("step-*")) for place in written) and time.monotonic() < until:
                    time.sleep(0.05)
                os._exit(9)

    return Death()


def _rank(job: Job, rank: int, port: int, log: Path) -> None:
    """In a forked process: never comes back."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    if job.world > 1:
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": job.world, "LOCAL_WORLD_SIZE": job.world}
        os.environ.update({k: str(v) for k, v in place.items()}, MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    os.environ.update(job.env)
    if job.hosts:
        os.environ.update(LOCAL_RANK="0", LOCAL_WORLD_SIZE="1", MEDICALGPT_CACHE=f"{job.hosts[rank]}/cache")
        os.chdir(job.hosts[rank])
    code = 1
    try:
        code = _train(job)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _wait_for(pids: list[int], limit: float) -> list[int | None]:
    codes: dict[int, int] = {}
    while len(codes) < len(pids) and time.monotonic() < limit:
        for pid in pids:
            if pid not in codes:
                got, status = os.waitpid(pid, os.WNOHANG)
                if got:
                    codes[pid] = os.waitstatus_to_exitcode(status)
        if any(codes.values()):  # torchrun ends the others when one dies
            limit = min(limit, time.monotonic() + 10)
        time.sleep(0.02)
    for pid in pids:
        if pid not in codes:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return [codes.get(pid) for pid in pids]


def _port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def main() -> None:
    import tempfile

    import torch

    torch.set_num_threads(1)
    import transformers.models.llama.modeling_llama  # noqa: F401

    import medicalgpt.training.stage  # noqa: F401

    with tempfile.TemporaryDirectory() as logs:
        for words in json.loads(sys.argv[1]):
            job, port, begun, pids = Job(**words), _port(), time.monotonic(), []
            files = [Path(logs) / f"{job.name}-{rank}" for rank in range(job.world)]
            for rank, log in enumerate(files):
                pid = os.fork()
                if pid == 0:
                    _rank(job, rank, port, log)
                pids.append(pid)
            codes = _wait_for(pids, begun + job.timeout)
            said = [log.read_text(encoding="utf-8", errors="replace")[-9000:] for log in files]
            line = {"job": job.name, "codes": codes, "said": said, "seconds": time.monotonic() - begun}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
