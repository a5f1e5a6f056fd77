"""A Slurm of its own for a test: a controller and two nodes on this machine, in a temporary folder, on free ports."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.http_server import free_ports

_NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun")
_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1
ReturnToService=2
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=8000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=8000
PartitionName=cpu Nodes=n1,n2 Default=YES State=UP
"""


def missing() -> str | None:
    """Why there can be no Slurm here."""
    lacking = [name for name in _NEEDED if shutil.which(name) is None]
    if lacking:
        return f"needs Slurm (Debian: slurmctld slurmd slurm-client munge); not here: {', '.join(lacking)}"
    return "Slurm's daemons are started as root" if os.geteuid() != 0 else None


@dataclass(frozen=True)
class Job:
    """What Slurm says of a job."""

    state: str
    restarts: int


@dataclass(frozen=True)
class Cluster:
    """A Slurm that runs."""

    folder: Path
    env: dict[str, str]

    def ask(self, *words: str) -> str:
        """The output of one of Slurm's commands."""
        return subprocess.run(words, env=self.env, capture_output=True, text=True, timeout=60, check=True).stdout

    def submit(self, script: str, output: Path, env: dict[str, str]) -> str:
        """The number of a new job that may see `env`."""
        place = output.with_suffix(".sbatch")
        place.write_text(script, encoding="utf-8")
        words = ["sbatch", "--parsable", f"--output={output}", str(place)]
        done = subprocess.run(words, env=env | self.env, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout.strip()

    def job(self, number: str) -> Job:
        """What became of a job."""
        said = dict(
            word.split("=", 1) for word in self.ask("scontrol", "show", "job", "-o", number).split() if "=" in word
        )
        return Job(said["JobState"], int(said["Restarts"]))


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Two nodes that are ready.

    Raises:
        AssertionError: they are not within half a minute; with the words of the daemons.
    """
    conf = folder / "slurm.conf"
    (folder / "state").mkdir(parents=True)
    conf.write_text(_CONF.format(folder=folder, host=socket.gethostname(), ports=free_ports(3)), encoding="utf-8")
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o400)
    names = {name: str(folder / f"munge.{name}") for name in ("socket", "pid", "seed")}
    munge = [f"--socket={names['socket']}", f"--pid-file={names['pid']}", f"--seed-file={names['seed']}"]
    here = Cluster(folder, {"PATH": os.environ["PATH"], "SLURM_CONF": str(conf)})
    with ExitStack() as stack:
        key = [f"--key-file={folder}/munge.key", f"--log-file={folder}/munged.log", "--force", "--foreground"]
        stack.enter_context(_daemon(here, "munged", *munge, *key))
        until(lambda: Path(names["socket"]).exists(), "Slurm is not ready", here.folder.glob("*.out"))
        stack.enter_context(_daemon(here, "slurmctld", "-D"))
        for name in ("n1", "n2"):
            stack.enter_context(_daemon(here, "slurmd", "-D", "-N", name))
        until(lambda: _idle(here) == 2, "Slurm is not ready", here.folder.glob("*.out"))
        stack.callback(_empty, here)
        yield here


def _idle(here: Cluster) -> int:
    done = subprocess.run(
        ["sinfo", "--noheader", "-N", "-t", "idle", "-o", "%N"], env=here.env, capture_output=True, text=True
    )
    return len(done.stdout.split())


def _empty(here: Cluster) -> None:
    """Nothing of a test outlives it."""
    here.ask("scancel", "--user=root", "--signal=KILL")
    here.ask("scancel", "--user=root")
    until(lambda: not here.ask("squeue", "--noheader").strip(), "Slurm is not ready", here.folder.glob("*.out"))


@contextmanager
def _daemon(here: Cluster, *words: str) -> Iterator[None]:
    with (here.folder / f"{words[0]}-{words[-1]}.out".replace("/", "")).open("wb") as said:
        process = subprocess.Popen(words, env=here.env, stdout=said, stderr=said)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def until(true: Callable[[], bool], what: str, logs: Iterable[Path], seconds: float = 30.0) -> None:
    """Wait until it is true; the ends of these files are shown where that takes too long."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            said = "\n".join(place.read_text(encoding="utf-8")[-3000:] for place in logs)
            raise AssertionError(f"{what} after {seconds:g} s:\n{said}")
        time.sleep(0.1)
