"""How much memory this machine can still give."""

import sys
from pathlib import Path

_CGROUP_V2 = Path("/sys/fs/cgroup")
_CGROUP_V1 = Path("/sys/fs/cgroup/memory")


def free_memory() -> int:
    """Bytes a training process can still take: of its accelerator if there is one, else of main memory."""
    from medicalgpt.kernels.device import free_device_memory  # lazy: heavy

    found = free_device_memory()
    return free_main_memory() if found is None else found


def free_main_memory() -> int:
    """Bytes of main memory that are available, a container's limit respected."""
    limits = [x for x in (_system(), _cgroup_v2(_CGROUP_V2), _cgroup_v1(_CGROUP_V1)) if x is not None]
    # A system that tells nothing refuses nothing.
    return min(limits, default=sys.maxsize)


def _system() -> int | None:
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        found = _table(meminfo).get("MemAvailable:")
        return None if found is None else found * 1024
    try:
        import psutil
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)


def _cgroup_v2(root: Path) -> int | None:
    """Room below memory.max; file cache that the kernel would drop counts as room."""
    try:
        limit = (root / "memory.max").read_text().strip()
        used = int((root / "memory.current").read_text())
        cache = _table(root / "memory.stat").get("inactive_file", 0)
    except (OSError, ValueError):
        return None
    return None if limit == "max" else max(0, int(limit) - used + cache)


def _cgroup_v1(root: Path) -> int | None:
    try:
        limit = int((root / "memory.limit_in_bytes").read_text())
        used = int((root / "memory.usage_in_bytes").read_text())
        cache = _table(root / "memory.stat").get("total_inactive_file", 0)
    except (OSError, ValueError):
        return None
    return max(0, limit - used + cache)


def _table(path: Path) -> dict[str, int]:
    """Lines "name number …" of a kernel file."""
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}
