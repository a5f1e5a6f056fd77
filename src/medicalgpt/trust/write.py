"""`medicalgpt report`: trust.html for people and trust.json for programs, beside each other."""

from pathlib import Path

from medicalgpt.disk.failures import explain
from medicalgpt.disk.private import private_files
from medicalgpt.errors import RunError
from medicalgpt.export.evaluated import evaluated
from medicalgpt.export.lineage import NAME as LINEAGE
from medicalgpt.export.lineage import lineage_of
from medicalgpt.export.model_card import NAME as CARD
from medicalgpt.export.model_card import write_card
from medicalgpt.language import Language
from medicalgpt.models.locate import Located
from medicalgpt.runs.atomic import write_text
from medicalgpt.runs.folder import MERGED
from medicalgpt.runs.manifest import homeless
from medicalgpt.runs.trust_file import NAME, PAGE, Trust
from medicalgpt.trust.gather import gather
from medicalgpt.trust.page import page
from medicalgpt.trust.subject import Subject, open_subject


def write_report(
    folder: Path, language: Language = "en", output: Path | None = None, before: Path | None = None
) -> Path:
    """Gather what may be said of a run or pipeline and write both files; returns the page's path.

    Args:
        output: where they go; None: into the folder itself.
        before: of a run, the evaluation of the model before it.

    Raises:
        RunError, ModelError, DataError, ConfigError: as `gather`; a file cannot be written.
    """
    trust = gather(folder, before)
    target = output or folder
    with private_files():
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{target} cannot be used: {explain(error, target.parent)}") from error
        # The page is made of what programs read, so that neither can say what the other does not.
        text = homeless(trust.model_dump_json(indent=1)) + "\n"
        html = page(Trust.model_validate_json(text), language)
        write_text(target / NAME, text)
        write_text(target / PAGE, html)
    if output is None:
        _renew_cards(open_subject(folder))
    return target / PAGE


def _renew_cards(subject: Subject) -> None:
    """Put the numbers on the cards of merged models, which were written before the models took any test.

    A card is no file that anything is hashed by. `model/` is left alone: its manifest names every file in it.
    """
    for stage in subject.stages:
        merged = stage.folder / MERGED
        place = Located(str(merged), "model")
        whole = (merged / CARD).is_file() and (merged / LINEAGE).is_file()
        if whole and (found := evaluated(place, changed=False)) is not None:
            name = f"{stage.folder.resolve().name}-{MERGED}"
            write_card(merged, name, lineage_of(place), kind="language" if stage.answers else "score", found=found)
