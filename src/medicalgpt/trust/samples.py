"""A few answers that a run kept while it trained: the first and the last one to each question."""

from collections.abc import Iterator
from typing import Final

from medicalgpt.errors import RunError
from medicalgpt.evaluation.outcomes import JsonObject
from medicalgpt.runs.folder import RunFolder
from medicalgpt.runs.metrics import read
from medicalgpt.runs.trust_parts import Answer, Sample
from medicalgpt.trust.subject import Stage, Subject

_MOST: Final = 3  # questions a stage
_STAGES: Final = 2  # the last ones that kept any
_LONGEST: Final = 1200  # characters of a text; the whole ones are in samples.jsonl


def samples_of(subject: Subject) -> list[Sample]:
    """Of the last stages that kept answers, in order.

    Raises:
        RunError: a file of samples is damaged.
    """
    found: list[list[Sample]] = []
    for stage in reversed(subject.stages):
        file = RunFolder(stage.folder).samples
        if stage.answers and file.is_file():
            try:
                found.append(list(_of_stage(stage)))
            except (KeyError, TypeError):
                raise RunError(f"{file} is damaged: a line has no prompt or answer; remove the file") from None
        if len(found) == _STAGES:
            break
    return [sample for samples in reversed(found) for sample in samples]


def _of_stage(stage: Stage) -> Iterator[Sample]:
    by_question: dict[str, list[JsonObject]] = {}
    for line in sorted(read(RunFolder(stage.folder).samples), key=lambda line: line["step"]):
        by_question.setdefault(f"{line.get('source')} {line['prompt']}", []).append(line)
    for answers in list(by_question.values())[:_MOST]:
        first, last = answers[0], answers[-1]
        reference = last.get("reference")
        yield Sample(
            stage=stage.name,
            question=_short(_question(last["prompt"])),
            answers=[
                Answer(who=str(one["step"]), text=_short(str(one["answer"])))
                for one in ([first] if first is last else [first, last])
            ],
            reference=_short(str(reference)) if reference else None,
        )


def _question(prompt: object) -> str:
    """The text itself, or the last turn of a dialogue."""
    if isinstance(prompt, list) and prompt and isinstance(prompt[-1], dict):
        return str(prompt[-1].get("content") or "")
    return str(prompt)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
