"""Writes the lock with hashes: python .ci/hash_lock.py < `uv pip compile --generate-hashes …`. `make lock` does it.

`requirements.lock` stays a list of constraints, for `pip install -c`: pip takes no hashes beside a package that it builds itself.
"""

import re
import sys
from pathlib import Path

# torch comes alone: pip prefers an index that states hashes to a folder or index that does not, whatever the build.
FILES = {
    re.compile(r"torch$"): Path("requirements-torch.sha256"),
    re.compile(r"(nvidia-|cuda-|triton$)"): Path("requirements-cuda.sha256"),
    re.compile(r""): Path("requirements.sha256"),
}
# The CPU builds of PyTorch's own index have names of their own; the default index does not know their hashes.
FURTHER = {"torch==2.13.0": ["6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b"]}


def entries(text: str) -> list[tuple[str, str]]:
    """(name, `name==version ; marker \\ --hash=… \\ …`) of each package."""
    parts = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    return [(part.partition("==")[0], part.rstrip("\n")) for part in parts if "==" in part]


def main() -> None:
    """Split what comes in by who installs it, and add the hashes of other indexes."""
    found = entries(sys.stdin.read())
    if not found:
        sys.exit("nothing came in: give the output of `uv pip compile --generate-hashes`")
    written = {path: ["# Hashes that `make setup` checks. Renew with: make lock"] for path in FILES.values()}
    for name, text in found:
        path = next(path for kind, path in FILES.items() if kind.match(name))
        more = "".join(f" \\\n    --hash=sha256:{digest}" for digest in FURTHER.get(text.split()[0], ()))
        written[path].append(text + more)
    for path, lines in written.items():
        path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
