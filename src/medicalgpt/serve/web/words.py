"""What each language of the page says, by name."""

from dataclasses import dataclass

from medicalgpt.language import Language, translated
from medicalgpt.language.marks import colon, comma


@dataclass(frozen=True, slots=True)
class Texts:
    """One language. `other_language` is the name of the next one, in that one."""

    language: Language
    other_language: str
    disclaimer: str
    welcome: str
    welcome_more: str
    examples: tuple[str, ...]
    ask_here: str
    send: str
    stop: str
    clear: str
    earlier: str
    later: str
    version: str
    copied_as: tuple[str, str]
    # What the line under the conversation says
    reading: str
    waiting: str
    done: str
    cut_off: str
    stopped: str
    empty: str
    dropped: str
    greedy: str
    still_answering: str
    busy: str
    failed: str
    not_rendered: str
    too_long: str
    no_room: str
    rated: str
    paired: str
    rating_withdrawn: str
    not_rated: str
    # Who answers, comparisons, kept conversations
    who_answers: str
    who_hint: str
    choose_model: str
    judge: str
    judge_first: str
    best: str
    tie: str
    all_bad: str
    skip: str
    judged: str
    judged_unsaved: str
    tally: str
    kept: str
    keep_this: str
    keep_hint: str
    kept_search: str
    kept_list: str
    kept_open: str
    kept_delete: str
    kept_sure: str
    is_kept: str
    is_deleted: str
    kept_damaged: str
    print: str
    # The side panel
    settings: str
    emergency: str
    emergency_hint: str
    not_chosen: str
    system: str
    system_hint: str
    max_new_tokens: str
    temperature: str
    temperature_hint: str
    top_p: str
    top_k: str
    top_k_hint: str
    repetition_penalty: str
    seed: str
    seed_hint: str
    seed_wrong: str
    about: str
    export: str
    export_markdown: str
    export_json: str
    export_hint: str
    feedback_hint: str
    thoughts: str
    # About the model
    model: str
    model_version: str
    base: str
    adapter: str
    stages: str
    finished: str
    context: str
    weights: str
    template: str
    license: str
    license_unknown: str
    held_out: str
    before: str
    after: str
    no_run: str
    rows: str
    named_tests: str
    metrics: dict[str, str]
    meanings: dict[str, str]

    @property
    def colon(self) -> str:
        """What stands between a name and its value."""
        return colon(self.language)

    @property
    def comma(self) -> str:
        """What stands between the parts of a list."""
        return comma(self.language)

    @property
    def period(self) -> str:
        """What stands between two sentences."""
        return ". " if self.language == "en" else "。"

    def went_wrong(self, error: Exception) -> str:
        """An error in the language of the page, which need not be that of the server."""
        gap = " " if self.language == "en" else ""
        return f"{self.failed}{gap}{translated(str(error), language=self.language)}"
