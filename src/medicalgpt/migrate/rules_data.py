"""How data sets, templates and lengths are carried over."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from medicalgpt.config.yaml_text import flow
from medicalgpt.migrate.carry import Carrying
from medicalgpt.migrate.given import Word, read_dataset_info
from medicalgpt.rendering.template_header import named_templates

_COLUMNS: Final = {
    "prompt": "instruction", "query": "input", "response": "output", "messages": "conversations", "kto_tag": "desirable",
    "system": "system", "history": "history", "tools": "tools", "chosen": "chosen", "rejected": "rejected",
}  # fmt: skip
"""Of dataset_info.json; ours behind them, as docs/data.md has it."""
_HUB: Final = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}", re.ASCII)
Entry = dict[str, object]


def data(found: Carrying, dataset_info: Path | None = None) -> None:
    """Files and hubs' data sets, how much of each, what is held out, template and lengths."""
    folder = found.given.take("dataset_dir")
    place = found.given.folder if folder is None else _folder(found.given.folder, str(folder.value))
    info = read_dataset_info(place, dataset_info)
    base = dataset_info.parent if dataset_info else place
    if folder is not None and not info:
        found.leave(folder, "there is no dataset_info.json in it, so names of data sets stay names")
    _train(found, info, base)
    _held_out(found, info, base)
    _template(found)
    _lengths(found)
    _shown(found)


def _folder(near: Path, named: str) -> Path:
    places = (Path(named), near / named, *(above / named for above in near.resolve().parents))
    return next((place for place in places if place.is_dir()), Path(named))


def _train(found: Carrying, info: Mapping[str, Mapping[str, object]], base: Path) -> None:
    given = found.given
    word = given.take("dataset", "dataset_name")
    files = given.take("train_file_dir", "train_file", "train_files")
    most, mix, shares = (
        given.take("max_samples", "max_train_samples"),
        given.take("mix_strategy"),
        given.take("interleave_probs"),
    )
    entries: list[Entry] = []
    if files is not None:
        entries.append({"path": str(files.value)})
    if word is not None and word.value:
        entries += [_entry(found, word, name, info, base) for name in _names(word.value)]
    _mix(found, entries, most, mix, shares)
    if entries:
        plain = [entry["path"] if entry.keys() == {"path"} else entry for entry in entries]
        found.put("data.train", plain, *(one for one in (word, files) if one))
    for name in ("dataset_config", "dataset_train_split", "dataset_test_split"):
        if (other := given.take(name)) and other.value not in ("train", "test", None):
            found.leave(other, "write it into the address: hf://owner/name/configuration/split")


def _names(value: object) -> list[str]:
    return (
        [str(name) for name in value]
        if isinstance(value, list)
        else [n.strip() for n in str(value).split(",") if n.strip()]
    )


def _entry(found: Carrying, word: Word, name: str, info: Mapping[str, Mapping[str, object]], base: Path) -> Entry:
    """An entry of ours for a data set that is named there."""
    told = info.get(name)
    if told is None:
        local = next((path for path in (Path(name), base / name) if path.exists()), None)
        if local is None and _HUB.fullmatch(name):
            return {"path": f"hf://{name}"}
        if local is None:
            found.said.append(
                f"{word.place}: '{name}' is a name of dataset_info.json, which is not here; write its file in its place"
            )
        return {"path": str(local) if local is not None else name}
    path = _path(told, base)
    if path is None:
        found.said.append(
            f"{word.place}: dataset_info.json gives '{name}' neither a file nor a hub's name; write its file in its place"
        )
    entry: Entry = {"path": path or name}
    if type(told.get("num_samples")) is int:
        entry["rows"] = told["num_samples"]
    _columns(found, word, name, told)
    for key in sorted(
        told.keys() - {"file_name", "hf_hub_url", "ms_hub_url", "num_samples", "columns", "formatting", "ranking"}
    ):
        found.leave(
            Word(f"{name}.{key}", told[key], "dataset_info.json"),
            "shapes, roles and splits are found by themselves; see docs/data.md",
        )
    return entry


def _path(told: Mapping[str, object], base: Path) -> str | None:
    if isinstance(file := told.get("file_name"), str):
        return (base / file).as_posix()
    for key, scheme in (("hf_hub_url", "hf"), ("ms_hub_url", "ms")):
        if isinstance(repo := told.get(key), str) and _HUB.fullmatch(repo):
            return f"{scheme}://{repo}"
    return None


def _columns(found: Carrying, word: Word, name: str, told: Mapping[str, object]) -> None:
    """Names of columns; ours are the same for all data of a run."""
    columns = told.get("columns")
    if not isinstance(columns, dict):
        return
    ours = {_COLUMNS.get(str(key), str(key)): str(value) for key, value in columns.items()}
    before = found.values["data.columns"].value if "data.columns" in found.values else None
    said = Word(f"{name}.columns", columns, "dataset_info.json")
    if before is not None and before != ours:
        found.leave(
            said,
            f"another data set has other columns, and data.columns is one for all; rename the columns: {flow(ours)}",
        )
    elif any(value != key for key, value in ours.items()):  # the usual names are found by themselves
        found.put("data.columns", ours, said)


def _mix(found: Carrying, entries: list[Entry], most: Word | None, mix: Word | None, shares: Word | None) -> None:
    """At most so many rows of each, and shares."""
    if most is not None:
        if type(most.value) is int and most.value > 0 and entries:
            for entry in entries:
                entry["rows"] = min(most.value, int(str(entry.get("rows", most.value))))
            found.said.append(
                f"{most.place}: {most.name} became rows of every entry of data.train; here they are the first ones"
            )
        else:
            found.leave(most, "no number of rows, or no data to take them from")
    given = _names(shares.value) if shares is not None and shares.value else []
    numbers = [float(one) for one in given if re.fullmatch(r"\d*\.?\d+(e-?\d+)?", one)]
    mixes = mix is not None and str(mix.value).startswith("interleave")
    if numbers and mixes and len(numbers) == len(entries) and abs(sum(numbers) - 1) < 1e-6 and len(entries) > 1:
        for entry, share in zip(entries, numbers):
            entry["share"] = share
        found.said.append(f"{shares.place if shares else ''}: shares are of tokens here, of rows there")
        return
    for word in (mix, shares):
        if word is not None:
            found.leave(
                word, "every row is read once an epoch; shares are set as data.train entries {path: …, share: 0.3}"
            )


def _held_out(found: Carrying, info: Mapping[str, Mapping[str, object]], base: Path) -> None:
    given = found.given
    word = given.take("eval_dataset", "validation_file_dir", "validation_file")
    if word is not None and word.value:
        named = word.name == "eval_dataset"
        paths = [_entry(found, word, name, info, base)["path"] if named else name for name in _names(word.value)]
        found.put("data.eval", paths, word)
    share, percent = given.take("val_size"), given.take("validation_split_percentage")
    for one, of in ((share, 1.0), (percent, 100.0)):
        if one is None:
            continue
        value = one.value if isinstance(one.value, int | float) and not isinstance(one.value, bool) else -1.0
        if 0 <= value / of < 1:
            note = "nothing is held out there, so nothing is measured" if value == 0 else ""
            found.put("data.eval_fraction", value / of, one, note=note)
        else:
            found.leave(one, "data.eval_fraction is a share below 1; files of your own go into data.eval")
    if given.tool == "TRL" and "data.eval" not in found.values:
        found.said.append(
            "held-out rows: TRL takes the data set's split test where it evaluates; here data.eval_fraction is held out"
        )


def _template(found: Carrying) -> None:
    word = found.given.take("template", "template_name", "chat_template")
    if word is None:
        return
    known = named_templates()
    name = str(word.value)
    if name in known:
        found.put(
            "data.template", name, word, note="of the same name here; medicalgpt models templates shows what it writes"
        )
    elif (short := name.rstrip("0123456789._-")) in known:
        found.put(
            "data.template",
            short,
            word,
            note=f"the nearest of ours to '{name}'; medicalgpt data inspect shows what it writes",
        )
    else:
        found.leave(
            word,
            "no template here has that name; the tokenizer's own is taken (medicalgpt models templates lists ours)",
        )


def _lengths(found: Carrying) -> None:
    """The longest sample. Where prompt and answer have their own limits, their sum."""
    given = found.given
    prompt = given.take("max_source_length", "max_prompt_length")
    answer = (
        given.take("max_target_length", "max_completion_length") if "rollout.max_new_tokens" not in found.keys else None
    )
    answer = answer or (given.words.get("max_completion_length") if prompt else None)
    both = given.take("cutoff_len", "model_max_length", "max_length", "block_size", "max_seq_length")
    if both is not None and both.value is not None:
        found.put("data.max_tokens", both.value, both)
        for word in (prompt, answer):
            if word is not None and word.name not in given.words:
                found.leave(word, "prompt and answer share data.max_tokens")
    elif prompt is not None and answer is not None and type(prompt.value) is int and type(answer.value) is int:
        found.put("data.max_tokens", prompt.value + answer.value, prompt, answer, note="prompt and answer together")
    else:
        for word in (prompt, answer if answer is not None and answer.name not in given.words else None):
            if word is not None:
                found.leave(word, "data.max_tokens is of prompt and answer together")


def _shown(found: Carrying) -> None:
    """What is trained on of a dialogue."""
    everything, last = found.given.take("train_on_prompt", "train_on_inputs"), found.given.take("mask_history")
    if everything is not None and everything.value is True:
        found.put("objective.train_on", "all", everything)
    if last is not None and last.value is True:
        found.put("objective.train_on", "last", last)
    only = found.given.take("assistant_only_loss", "completion_only_loss")
    if only is not None:
        found.leave(only, "answers alone carry loss here by default; objective.train_on says otherwise")
    for word in (everything, last):
        if word is not None and word.value is not True:
            found.leave(word, "it is off, which is so here by default")
