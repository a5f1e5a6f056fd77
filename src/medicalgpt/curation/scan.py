"""What is in files, in counts alone: personal data, duplicates, items of tests, quality. Nothing is kept."""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from medicalgpt.config.curation import CurateConfig
from medicalgpt.curation.local import LocalExecutor
from medicalgpt.curation.overlap import ItemIndex
from medicalgpt.curation.personal import Cleaner
from medicalgpt.curation.plan import Inputs, Plan, shards_of
from medicalgpt.curation.report import Report, report_of
from medicalgpt.curation.stage import find, look_up, review_file
from medicalgpt.disk.private import private_files
from medicalgpt.disk.scratch import scratch


@private_files()
def scan(config: CurateConfig, say: Callable[[str], None] = lambda text: None, review: Path | None = None) -> Report:
    """The report of a curation that is not made.

    Rows stand in a private folder for temporary files while they are compared, without their personal data; it goes when this
    ends, and what a killed scan left goes when the next one begins.

    Args:
        review: as for `curate`.

    Raises:
        MedicalGPTError: bad input, or a detector that failed (`on_leak: stop`).
    """
    inputs = Inputs.of(config.sources)
    items, _ = look_up(config)
    Cleaner(config.personal_data)
    plan = Plan(config, tuple(inputs.files), tuple(shards_of(config, inputs.files)), review_file(review))
    index = ItemIndex.of(items, config.contamination.ngram, config.contamination.threshold)
    engine = LocalExecutor(config.scale.workers, say)
    with scratch(Path(tempfile.gettempdir()), "medicalgpt-scan-") as folder, closing(engine):
        place = folder / "work"
        plan.write(place)
        done = find(
            place,
            engine,
            lambda chosen, told, source_of: report_of(config, told, chosen, source_of, items, index.unfindable),
        )
        done.work.shards.close()
        shutil.rmtree(place)
        return done.report


def found_personal_data(report: Report) -> bool:
    """Whether any row holds some."""
    found = report["personal_data"]
    return isinstance(found, dict) and bool(found.get("rows"))
