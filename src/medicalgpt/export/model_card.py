"""README.md of a model folder, as model hubs show it: what it is, what it was made from, how good, how to use it, limits.

Written from lineage.json, the certificate and, where there is one, trust.json: no path, no file name of the data, no text of a
row. Nothing is uploaded; that is a decision of people who read the card first.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from medicalgpt.config.emergency import numbers
from medicalgpt.export.evaluated import Evaluated, card_lines
from medicalgpt.export.lineage import Lineage, LineageEntry
from medicalgpt.language import chosen, translated
from medicalgpt.runs.atomic import write_text

NAME = "README.md"

# The held-out numbers worth a line on a card, in this order.
_SHOWN = (
    "loss",
    "perplexity",
    "accuracy",
    "margin",
    "reward",
    "reward_margin",
    "score",
    "kl",
    "stop_rate",
    "answer_loss",
)

_LICENSES = {"Apache-2.0": "apache-2.0", "Gemma Terms of Use": "gemma", "MIT": "mit"}

_IN_CHINESE = """\
本模型僅供教育與研究使用，不是醫療器材，不能取代醫師、藥師、護理師或其他合格的專業人員。模型可能出錯而說得很肯定；請勿依其回答決定診斷、
治療、用藥或劑量。遇到緊急狀況，請立即撥打所在地的急救電話（{numbers}）。
"""

_LOAD_TEXT = """\
```bash
medicalgpt chat --model {name}
```

```python
from medicalgpt import Engine

engine = Engine.open("{name}")
print(engine.chat("What is a fever?", max_new_tokens=256))
```
"""
_LOAD_SCORES = """\
```bash
medicalgpt score --model {name} --input pairs.jsonl
```
"""
_LOAD_GGUF = """\
```bash
medicalgpt chat --model {name} --backend llamacpp
```
"""


# Each is one message: a paragraph or an item.
_READERS = {
    "transformers": "The folder is plain Hugging Face layout: `transformers` loads it without MedicalGPT.",
    "medicalgpt": "The weights are in a layout of MedicalGPT's own; `transformers` without it cannot read them.",
    "gguf": "llama.cpp and the programs built on it read the file as well.",
}


def write_card(
    folder: Path, name: str, lineage: Lineage, *, kind: str = "language", found: Evaluated | None = None
) -> None:
    """Write README.md into a model's folder.

    Args:
        name: what the model is called in the title and in the examples: the published folder's own name.
        kind: "language", "score" for a reward model, or "gguf".
        found: what a report says of it.
    """
    write_text(folder / NAME, card(name, lineage, kind, found))


def card(name: str, lineage: Lineage, kind: str = "language", found: Evaluated | None = None) -> str:
    """The text of the card."""
    base = lineage.base
    link = f"[{base['name']}]({base['link']})" if base["link"] else f"`{base['name']}`"
    stages = " → ".join(str(stage["stage"]).upper() for stage in lineage.stages) or "none"
    license = base["licence"] or translated(
        "not known to MedicalGPT: state it before you publish, this model inherits its terms"
    )
    made = ", ".join(step["step"] for step in lineage.steps)
    parts = [
        _header(lineage, kind),
        f"# {name}\n",
        translated("A reward model that ranks medical answers, made with MedicalGPT. It writes none.")
        if kind == "score"
        else translated(
            "A medical language model made with MedicalGPT. **Not a medical device; read the limits below.**"
        ),
        "",
        translated(f"- **Base:** {link}") + (f", SHA-256 `{base['sha256']}`" if base["sha256"] else ""),
        translated(f"- **License:** {license}"),
        translated(f"- **Training:** {stages}"),
        translated(f"- **Made for use by:** {made}" if made else "- **Made for use by:** nothing more"),
        "",
        *_data(lineage.stages),
        *_results(lineage.stages),
        *card_lines(found),
        *_certificates(lineage.steps),
        f"## {translated('How to use it')}\n",
        _how(kind).format(name=name),
        translated(_READERS[_library(lineage, kind)]),
        "",
        *_limits(),
    ]
    return "\n".join(parts)


def _limits() -> Iterator[str]:
    """What the model is for and what it is not; an English card says the main of it in Chinese, too."""
    yield f"## {translated('Intended use and limits')}\n"
    yield translated(
        "For education and research: explaining general medical knowledge to people who can check it, and research on language "
        "models."
    )
    yield ""
    for item in (
        "- **Not a medical device.** It has not been evaluated or approved by any health authority, and it replaces no physician, "
        "pharmacist, nurse or other qualified professional.",
        "- **It can be wrong while sounding sure:** it may invent facts, doses, studies and sources, and miss an emergency. "
        "Held-out numbers do not make a model safe.",
        "- Not for diagnosis, treatment, prescriptions, doses or triage, and not for emergencies: call the emergency number of "
        f"the place where you are ({numbers(chosen())}).",
        "- Before anyone else uses it: clinical validation, supervision by professionals, and the law that applies (medical "
        "devices, data protection, consent) are up to whoever deploys it.",
        "- A trained model can repeat what it was trained on. If the data held patient records, treat the weights as "
        "confidentially as those, and do not publish them.",
    ):
        yield translated(item)
    if chosen() == "en":
        yield "\n" + _IN_CHINESE.format(numbers=numbers("zh-TW"))


def _header(lineage: Lineage, kind: str) -> str:
    """The YAML that hubs read. A JSON text is YAML as well, which settles all quoting."""
    base = lineage.base
    values: dict[str, object] = {
        "license": _LICENSES.get(base["licence"] or "", "other"),
        "library_name": _library(lineage, kind),
        "pipeline_tag": "text-classification" if kind == "score" else "text-generation",
        "tags": ["medical", "medicalgpt", *sorted({str(s["stage"]) for s in lineage.stages if "rows" in s})],
    }
    if values["license"] == "other" and base["licence"]:
        values["license_name"] = base["licence"]
    if base["link"]:
        values["base_model"] = base["link"].removeprefix("https://huggingface.co/")
    return "---\n" + "".join(f"{k}: {json.dumps(v, ensure_ascii=False)}\n" for k, v in values.items()) + "---\n"


def _library(lineage: Lineage, kind: str) -> str:
    """What reads the weights. transformers alone would take our 8- and 4-bit weights for floats."""
    if kind == "gguf":
        return "gguf"
    return "medicalgpt" if any(step["step"].startswith("cpu-") for step in lineage.steps) else "transformers"


def _data(stages: Iterable[LineageEntry]) -> list[str]:
    rows = [s for s in stages if "rows" in s]
    if not rows:
        return []
    out = [
        f"## {translated('Data')}\n",
        translated("| stage | rows read | used | dropped | tokens | SHA-256 of the rows | held-out rows |"),
        "|---|---|---|---|---|---|---|",
    ]
    for s in rows:
        n = s["rows"]
        used = sum(n.get(k, 0) for k in ("kept", "truncated", "split"))
        held_out = f"`{s['eval_sha256'][:16]}…`" if s["eval_sha256"] else "–"
        out.append(
            f"| {s['stage']} | {n.get('rows', '–')} | {used} | {n.get('dropped', 0)} | {s['tokens']:,} | "
            f"`{s['data_sha256'][:16]}…` | {held_out} |"
        )
    return [*out, ""]


def _results(stages: Iterable[LineageEntry]) -> list[str]:
    """Held-out numbers at the beginning and the end of each stage, out of the manifests."""
    lines = []
    for s in stages:
        before, after = s.get("before", {}), s.get("after", {})
        for label in _SHOWN:
            key = f"eval/{label}"
            if after.get(key) is not None:
                lines.append(f"| {s['stage']} | {label} | {_number(before.get(key))} | {_number(after[key])} |")
    if not lines:
        return []
    return [
        f"## {translated('Held-out results')}\n",
        translated("| stage | number | before | after |"),
        "|---|---|---|---|",
        *lines,
        "",
    ]


def _certificates(steps: Iterable[LineageEntry]) -> list[str]:
    steps = list(steps)
    if not steps:
        return []
    out = [
        f"## {translated('Does it still say the same?')}\n",
        translated("Each step was compared with the model before it on fixed prompts (`certificate.json`):") + "\n",
        translated("| step | max abs. Δ log p | mean KL | greedy agreement | verdict |"),
        "|---|---|---|---|---|",
    ]
    for s in steps:
        verdict = translated(f"drift allowed: {'; '.join(s['drift'])}" if s["drift"] else "within tolerance")
        out.append(
            f"| {s['step']} | {_number(s['max_abs_delta'])} | {_number(s['mean_kl'])} | {s['greedy_agreement']:.1%} | "
            f"{verdict.replace('|', '')} |"
        )
    for s in steps:
        if s["measured"].get("before") and s["measured"].get("after"):
            out += ["", translated(f"Measured when making {s['step']}, before → after:"), "", *_measured(s["measured"])]
    return [*out, ""]


def _measured(measured: LineageEntry) -> list[str]:
    before, after = measured["before"], measured["after"]
    lines = [
        f"- {name.replace('_', ' ')}: {_number(before[name])} → {_number(after[name])}"
        for name in before
        if name in after
    ]
    notes = [f"- {key}: {value}" for key, value in measured.items() if isinstance(value, str)]
    return [*lines, *notes]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _how(kind: str) -> str:
    return {"language": _LOAD_TEXT, "score": _LOAD_SCORES, "gguf": _LOAD_GGUF}[kind]
