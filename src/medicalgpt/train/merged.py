"""The model of a finished LoRA run as plain weights, for the next stage and for other programs."""

import shutil
from pathlib import Path

from rich.console import Console

from medicalgpt.config.sections import ModelConfig
from medicalgpt.models.load import Head, load
from medicalgpt.models.merge import CERTIFICATE, merge, write_certificate
from medicalgpt.render.template import ChatTemplate
from medicalgpt.runs import manifest
from medicalgpt.runs.folder import MERGED, RunFolder
from medicalgpt.runs.hashes import hash_file
from medicalgpt.train import reward
from medicalgpt.train.finish import save_model


def merge_run(folder: Path, console: Console, trust_remote_code: bool = False) -> None:
    """Fold a finished run's adapter into its base, into the folder `merged` beside it, once; checked by the certificate.

    Args:
        trust_remote_code: the base may run Python code of its own, which goes along into the folder.

    Raises:
        RunError: the run is not finished. ModelError: the merged model differs.
    """
    stage = manifest.read(folder).stage
    stamp = hash_file(folder / manifest.NAME)
    done = folder / MERGED / "merged_from.txt"
    if (
        done.is_file()
        and done.read_text(encoding="utf-8").strip() == stamp
        and (folder / MERGED / CERTIFICATE).is_file()
    ):
        return
    head: Head = "score" if stage == "rm" else "language"
    loaded = load(ModelConfig(base=str(folder), trust_remote_code=trust_remote_code), head=head)
    loaded.model, certificate = merge(loaded.model)
    with RunFolder(folder).publishing(MERGED) as temp:
        save_model(temp, loaded, ChatTemplate.load(loaded.tokenizer))
        write_certificate(temp, certificate)
        if (folder / "model" / reward.FILE).is_file():
            shutil.copy(folder / "model" / reward.FILE, temp / reward.FILE)
        (temp / "merged_from.txt").write_text(stamp + "\n", encoding="utf-8")
    console.print(
        f"merged into the base: max |Δ log p| {certificate['max_abs_delta_logp']:.1e} (limit {certificate['tolerance']})",
        highlight=False,
    )
