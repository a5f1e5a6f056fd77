"""One stage's settings for rendering: records of any kind to token trees."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from medicalgpt.config.sections import DataConfig
from medicalgpt.data.records import Dialogue, Document, Feedback, Kind, Message, Record
from medicalgpt.rendering.ahead import Encoded, encoded_ahead
from medicalgpt.rendering.rows import (
    Rendered,
    TrainOn,
    render_dialogue,
    render_document,
    render_feedback,
    render_preference,
)
from medicalgpt.rendering.template import ChatTemplate


@dataclass(frozen=True)
class Renderer:
    """The settings under which one stage's rows become trees."""

    data: DataConfig
    kind: Kind
    template: ChatTemplate
    train_on: TrainOn
    seed: int

    def encoded(self, records: Sequence[Record | None]) -> list[Encoded | None]:
        """What `render` may be given for each of several records, found for all of them at once."""
        if self.kind != "dialogue":
            return [None] * len(records)
        rows = [self._with_system(record) if isinstance(record, Dialogue) else None for record in records]
        return encoded_ahead(self.template, rows, self.data.max_tokens)

    def _with_system(self, row: Dialogue) -> Dialogue:
        system = self.data.system
        return replace(row, messages=_with_system(row.messages, system)) if system else row

    def render(self, record: Record, encoded: Encoded | None = None) -> Rendered:
        """Trees of one record, and how its row ends in the ledger; raises RenderError."""
        limit = self.data.max_tokens
        if isinstance(record, Document):
            return render_document(record, self.template, limit)
        if isinstance(record, Dialogue):
            row = self._with_system(record)
            return render_dialogue(row, self.template, limit, self.train_on, self.data.over_length, encoded)
        if self.data.system:
            record = replace(record, prompt=_with_system(record.prompt, self.data.system))
        if isinstance(record, Feedback) or self.kind == "feedback":
            return render_feedback(record, self.template, limit, self.data.over_length)
        return render_preference(record, self.template, limit, self.data.over_length)


def _with_system(turns: tuple[Message, ...], system: str) -> tuple[Message, ...]:
    """The turns with the configured system message in front, unless they have one."""
    return turns if turns[0].role == "system" else (Message("system", system), *turns)
