"""metrics.jsonl and samples.jsonl: valid JSON whatever happens, and the same after a resume."""

import errno
import json
import os
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medicalgpt.errors import RunError
from medicalgpt.runs import MetricsLog, SampleLog, metrics


def strict(text: str) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_a_line_has_the_step_first_and_plain_numbers(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "m.jsonl")
    log.append(3, {"train/loss": np.float32(0.5), "train/tokens": np.int64(7), "phase": "warm-up", "ok": True})
    assert log.path.read_text() == '{"step": 3, "train/loss": 0.5, "train/tokens": 7, "phase": "warm-up", "ok": true}\n'


def test_nan_and_infinities_become_null_and_are_named(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "m.jsonl")
    log.append(1, {"a": float("nan"), "b": 2.0, "c": float("-inf")})
    assert strict(log.path.read_text()) == {"step": 1, "a": None, "b": 2.0, "c": None, "nonfinite": ["a", "c"]}


@pytest.mark.parametrize("name", ["step", "nonfinite"])
def test_reserved_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"cannot be called '{name}'"):
        MetricsLog(tmp_path / "m.jsonl").append(1, {name: 1.0})


def test_rewind_drops_later_lines_and_the_log_goes_on(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "m.jsonl")
    for step in (0, 1, 2, 3):
        log.append(step, {"x": float(step)})
    log.append(2, {"eval/x": 9.0})
    log.rewind(2)
    log.append(3, {"x": 3.5})
    assert [(m["step"], m.get("x", m.get("eval/x"))) for m in metrics.read(log.path)] == [
        (0, 0.0), (1, 1.0), (2, 2.0), (2, 9.0), (3, 3.5),
    ]  # fmt: skip
    assert [p.name for p in tmp_path.iterdir()] == ["m.jsonl"]


def test_rewind_of_a_missing_log_is_harmless(tmp_path: Path) -> None:
    MetricsLog(tmp_path / "m.jsonl").rewind(0)
    assert list(tmp_path.iterdir()) == []


def test_a_torn_last_line_is_left_out_when_read_and_cut_off_when_opened(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    whole = b'{"step": 1, "x": 1.0}\n'
    for torn in (b'{"step": 2, "x', b'{"step": 2, "\xe7', b"\x00\x00", b"{", b"12"):
        path.write_bytes(whole + torn)
        assert metrics.read(path) == [{"step": 1, "x": 1.0}]
        assert path.read_bytes() == whole + torn  # reading changes nothing
        MetricsLog(path).append(2, {"x": 2.0})
        assert path.read_bytes() == whole + b'{"step": 2, "x": 2.0}\n'


def test_a_whole_last_line_without_its_newline_counts(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": 2}')
    assert [m["step"] for m in metrics.read(path)] == [1, 2]
    MetricsLog(path).append(3, {})
    assert path.read_bytes() == b'{"step": 1}\n{"step": 2}\n{"step": 3}\n'


@pytest.mark.parametrize("line", ['{"x": 1}', "[1]", "secret of a patient", '{"step": "2"}', "", '{"step": true}'])
def test_a_damaged_line_in_the_middle_is_named_but_not_shown(tmp_path: Path, line: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text(f'{{"step": 1}}\n{line}\n{{"step": 3}}\n')
    with pytest.raises(RunError, match=r"m\.jsonl:2: not a JSON object") as caught:
        metrics.read(path)
    assert "patient" not in str(caught.value)
    with pytest.raises(RunError, match=r"m\.jsonl:2"):
        MetricsLog(path).rewind(1)


def test_a_missing_log_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"m\.jsonl cannot be read: No such file"):
        metrics.read(tmp_path / "m.jsonl")


def test_a_line_that_does_not_fit_leaves_the_log_as_it_was(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "m.jsonl")
    log.append(1, {"x": 1.0})
    before = log.path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Five bytes of the next line still fit: the kernel writes these and then reports the error.
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, limits[1]))
    try:
        with pytest.raises(RunError, match=r"m\.jsonl could not be written: File too large"):
            log.append(2, {"x": 2.0})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert log.path.read_bytes() == before
    log.append(2, {"x": 2.0})
    assert [m["step"] for m in metrics.read(log.path)] == [1, 2]


def test_a_full_disk_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = MetricsLog(tmp_path / "m.jsonl")

    def full(self: Path, mode: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(RunError, match=r"the disk is full \(.* MB free in .*free some space or choose an output_dir"):
        log.append(1, {"x": 1.0})


def test_samples_keep_their_text_exactly(tmp_path: Path) -> None:
    log = SampleLog(tmp_path / "s.jsonl")
    prompt = [{"role": "user", "content": "頭痛?\n\u2028'\"<"}]
    log.append(0, prompt, "答\ud800", reference="r", stopped=False, source="a.jsonl:3")
    log.append(4, "text", "more")
    assert metrics.read(log.path) == [
        {"step": 0, "prompt": prompt, "answer": "答\ud800", "reference": "r", "stopped": False, "source": "a.jsonl:3"},
        {"step": 4, "prompt": "text", "answer": "more"},
    ]
    assert "頭痛" in log.path.read_text("utf-8")
    log.rewind(0)
    assert [s["step"] for s in metrics.read(log.path)] == [0]


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(0, 9), st.integers(0, 400))
def test_a_run_cut_anywhere_and_rewound_ends_with_the_same_file(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], at: int, cut: int
) -> None:
    steps = sorted(steps)
    folder = tmp_path_factory.mktemp("cut")
    straight, stopped = MetricsLog(folder / "a.jsonl"), folder / "b.jsonl"
    for step in steps:
        straight.append(step, {"train/loss": step / 7})
    whole = straight.path.read_bytes() if steps else b""
    durable = sum(len(line) for line in whole.splitlines(keepends=True) if json.loads(line)["step"] <= at)
    stopped.write_bytes(whole[: durable + cut])  # everything up to the checkpoint was written, then a kill somewhere
    log = MetricsLog(stopped)
    log.rewind(at)
    for step in steps:
        if step > at:
            log.append(step, {"train/loss": step / 7})
    assert stopped.read_bytes() == whole


# -- power cuts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hole", [(0, 4096), (10, 60), (60, 61)], ids=["a block", "two lines in part", "a byte"])
def test_blocks_that_never_came_to_the_disk_are_no_lines(tmp_path: Path, hole: tuple[int, int]) -> None:
    """After a power cut a file may have its length and zeros in place of what was written last."""
    log = MetricsLog(tmp_path / "m.jsonl")
    for step in (1, 2):
        log.append(step, {"x": float(step)})
    safe = log.path.read_bytes()
    for step in range(3, 9):
        log.append(step, {"x": float(step)})
    late = log.path.read_bytes()[len(safe) :]
    start, end = hole
    log.path.write_bytes(safe + late[:start] + bytes(min(end, len(late)) - start) + late[end:])
    assert [line["step"] for line in metrics.read(log.path)][:2] == [1, 2]
    again = MetricsLog(log.path)
    assert b"\0" not in log.path.read_bytes()
    again.rewind(2)
    assert log.path.read_bytes() == safe


def test_zeros_do_not_hide_another_damage(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step": 1}\n{"step": \n\0\0\n')
    with pytest.raises(RunError, match=r"m\.jsonl:2: not a JSON object"):
        metrics.read(path)
