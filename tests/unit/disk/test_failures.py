"""A full disk or quota is said in words: which folder, how much is needed, what helps."""

import errno
from pathlib import Path

import pytest

from medicalgpt.disk.failures import LARGER_CACHE, explain, writing
from medicalgpt.errors import RunError

FULL = OSError(errno.ENOSPC, "No space left on device")
QUOTA = OSError(errno.EDQUOT, "Disk quota exceeded")


def test_a_full_disk(tmp_path: Path) -> None:
    said = explain(FULL, tmp_path / "not yet there", needs=1_234_567_890)
    assert said.startswith("the disk is full (1,235 MB are needed, ")
    assert f"MB free in {tmp_path})" in said
    assert said.endswith("free some space or choose an output_dir on a larger disk")


def test_a_full_quota_does_not_speak_of_the_disks_free_space(tmp_path: Path) -> None:
    said = explain(QUOTA, tmp_path, 2_000_000, LARGER_CACHE)
    assert said.startswith(f"your quota is used up (2.0 MB are needed in {tmp_path}); delete files of yours there, or ")
    assert "MEDICALGPT_CACHE" in said
    assert explain(QUOTA, tmp_path).startswith(f"your quota is used up (in {tmp_path}); ")


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("I/O error: No space left on device (os error 28)", "the disk is full"),
        ("Disk quota exceeded (os error 122)", "your quota is used up"),
        ("unexpected end", "ValueError: unexpected end"),
    ],
)
def test_a_writer_that_passes_on_only_the_words(said: str, means: str, tmp_path: Path) -> None:
    inner = ValueError(said)
    outer = RuntimeError("could not be saved")
    outer.__cause__ = inner
    assert explain(outer if "os error" in said else inner, tmp_path).startswith(means)


def test_what_was_written_where(tmp_path: Path) -> None:
    refused = rf"the list could not be written to {tmp_path}: Permission denied \("
    with pytest.raises(RunError, match=refused), writing("the list", tmp_path):
        raise OSError(errno.EACCES, "Permission denied")
    with pytest.raises(KeyError), writing("the list", tmp_path):
        raise KeyError  # nothing of the disk
