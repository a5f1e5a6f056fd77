"""`--help` answers at once, since nothing heavy is imported for it; and what every command takes."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from medicalgpt.cli import app

_MODEL = (
    "--model --adapter --template --revision --dtype --quantization --backend --trust-remote-code --system "
    "--family --tokenizer --resize-embeddings --tensor-parallel --memory-share --rope-scaling --rope-factor"
)
_SAMPLING = (
    "--max-new-tokens --temperature --top-p --top-k --repetition-penalty --min-p --frequency-penalty --presence-penalty "
    "--seed --stop"
)
# The public surface: a name that goes, or comes unnoticed, breaks somebody's script.
SURFACE = {
    "chat": f"{_MODEL} {_SAMPLING} --no-history --thinking --emergency",
    "config explain": "stage --filter --plugin",
    "config import": "file --stage --output --dataset-info",
    "config resolve": "stage file overrides --plugin",
    "config validate": "stage file overrides --plugin",
    "data curate": "overrides --config --review",
    "data scan": "paths --column --encoding --txt --suite --tests --detectors --workers --review",
    "data inspect": "paths --model --template --tool-format --column --max-tokens --encoding --txt --over-length --rows",
    "demo": f"{_MODEL} {_SAMPLING} --host --port --share --allow-host --slots --feedback --keep --named-adapter "
    "--context-len --emergency",
    "estimate": "--model --params --method --stage --teacher --teacher-quantization --offload --max-tokens --processes --shard "
    "--replicate --sequence --rank --optimizer --checkpointing --dtype --device --revision --trust-remote-code --table",
    "evaluate compare": "before after --gates --strict",
    "evaluate judge-check": "--suite --tests --limit --output --judge --judge-model --judge-key --judge-timeout "
    "--judge-parallel --judge-one-by-one --allow-remote",
    "evaluate leakage": f"{_MODEL.replace(' --system', '')} --control --canaries --rows --kind --limit --tokens --candidates "
    "--max-tokens --output",
    "evaluate plant": "output --data --count --digits --repeats --languages --kind --seed",
    "evaluate run": f"{_MODEL.replace(' --system', '')} --suite --tests --fetch --output --profile --limit --shuffle --texts "
    "--capacity --generate --max-new-tokens --batch-size --save-answers --judge --judge-model --judge-key --judge-timeout "
    "--judge-parallel --judge-one-by-one --allow-remote --judge-check",
    "evaluate tests": "--tests",
    "examples copy": "folder",
    "export gguf": "--model --output --type --pre --overwrite --template --adapter --revision --dtype "
    "--trust-remote-code --allow-drift",
    "generate": f"{_MODEL} {_SAMPLING} --input --output --batch-size --resume --no-history --tool-format --on-bad-row --json-schema",
    "merge": "--model --adapter --output --dtype --template --revision --trust-remote-code --allow-drift",
    "models list": "",
    "models families": "",
    "models pull": "name --from --accept-license --to --revision --trust-remote-code",
    "models templates": "",
    "pipeline run": "file overrides",
    "quantize": "--model --output --method --text --template --revision --trust-remote-code --allow-drift",
    "report": "folder --language --output --before",
    "runs compare": "runs --output --samples --same --json",
    "runs delete": "runs --force --yes --among --json",
    "runs export": "run --output --with --json",
    "runs list": "folder --filter --kind --stage --state --sort --descending --json",
    "runs show": "run --json",
    "runs tail": "run --lines --json",
    "score": "--model --input --output --pairs --max-tokens --template --revision --dtype --quantization --trust-remote-code",
    "serve": f"{_MODEL} --host --port --api-key-file --no-auth --served-name --named-adapter --grace --slots --queue "
    "--max-tokens-limit --max-prompt-tokens --max-body --timeout --header-timeout --body-timeout --connections "
    "--connections-per-address --per-key --openapi --tool-format --allow-origin --drain",
    "train": "stage overrides --config --plugin",
    "vocab extend": "--model --output --corpus --pieces --size --min-count --max-characters --ascii --pad-to --encoding --txt "
    "--revision --trust-remote-code",
    "vocab report": "--model --tokenizer --text --encoding --txt --revision --trust-remote-code",
    "vocab train": "--corpus --output --size --kind --encoding --txt",
}
COMMANDS = ["", "config", "data", "evaluate", "examples", "export", "models", "pipeline", "runs", "vocab", *SURFACE]
PROBE = """
import sys
from typer.testing import CliRunner
from typer.testing import CliRunner

from medicalgpt.cli import app
for words in sys.argv[1:]:
    done = CliRunner().invoke(app, [*words.split(), "--help"])
    assert done.exit_code == 0, (words, done.output)
heavy = {"torch", "transformers", "pyarrow", "pandas", "peft", "numpy", "gradio"} & set(sys.modules)
assert not heavy, heavy
"""


def _commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def test_the_public_surface() -> None:
    found = {
        name: {p.name if p.param_type_name == "argument" else max(p.opts, key=len) for p in command.params}
        for name, command in _commands(typer.main.get_command(app))
    }
    assert {name: words - {"--help"} for name, words in found.items()} == {
        n: set(w.split()) for n, w in SURFACE.items()
    }


def test_an_option_that_was_spelled_otherwise_is_still_known() -> None:
    for option in ("--accept-license", "--accept-licence"):
        done = CliRunner().invoke(app, ["models", "pull", "no-such-model", option])
        assert "no-such-model" in done.output + str(done.exception)
        assert "No such option" not in done.output


def test_help_of_every_command_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE, *COMMANDS], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("words", [["no-such-command"], ["train", "sfx"]])
def test_unknown_words_end_with_2(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "medicalgpt", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
