"""Tensors of a checkpoint of which every process writes what it holds, by torch's distributed checkpoints in safetensors files.

Whoever reads them later may hold other parts, or all of it: each process reads of every file what falls into its own. Nothing
is unpickled, where DCP's own file format would unpickle its table of contents.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
import torch.distributed as dist
from safetensors import SafetensorError
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from medicalgpt.checkpoints.saved_files import ELSE
from medicalgpt.errors import RunError

PARTS: Final = "parts"


def is_divided(folder: Path) -> bool:
    """Whether the tensors of the checkpoint in `folder` lie in parts."""
    return (folder / PARTS).is_dir()


def copied(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A copy in main memory of what this process holds, so that training may go on while it is written."""
    stager = DefaultStager(StagingOptions(False, False, False, False))
    try:
        staged = stager.stage({name: t.detach() for name, t in tensors.items()})
        assert isinstance(staged, dict)  # a future where it was asked for
        return staged
    finally:
        stager.close()


def write_parts(folder: Path, tensors: Mapping[str, torch.Tensor], group: dist.ProcessGroup | None = None) -> None:
    """Write what this process holds of sharded tensors below `folder`; all processes of the group do, and end together.

    Raises:
        RunError: one of them could not.
    """
    writer = HuggingFaceStorageWriter(str(folder / PARTS), save_distributed=True)
    try:
        save(dict(tensors), storage_writer=writer, process_group=group)
    except CheckpointException as error:  # no Exception, so that nobody would look for it
        who, (cause, _) = min(error.failures.items())
        raise RunError(f"process {who} could not write its part: {cause}") from cause


def read_parts(folder: Path, into: Mapping[str, torch.Tensor]) -> None:
    """Fill tensors, plain or sharded, from the parts below `folder`. Each process reads by itself. Raises RunError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that no process group takes part
        try:
            load(dict(into), storage_reader=_reader(folder), no_dist=True)
        except (OSError, SafetensorError, KeyError, ValueError, AssertionError, RuntimeError) as error:
            raise RunError(f"{folder / PARTS} cannot be read: {error}; {ELSE}") from error
        except CheckpointException as error:
            _, (cause, _) = min(error.failures.items())
            raise RunError(f"{folder / PARTS} cannot be read: {cause}; {ELSE}") from cause


def shapes_of_parts(folder: Path) -> dict[str, tuple[int, ...]]:
    """Names and whole shapes of the tensors below `folder`, from the files' heads. Raises RunError."""
    try:
        found = _reader(folder).read_metadata().state_dict_metadata
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise RunError(f"{folder / PARTS} cannot be read: {error}; {ELSE}") from error
    return {name: tuple(one.size) for name, one in found.items() if isinstance(one, TensorStorageMetadata)}


def _reader(folder: Path) -> HuggingFaceStorageReader:
    return HuggingFaceStorageReader(str(folder / PARTS))
