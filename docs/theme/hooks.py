"""Lays the documentation site out as the repository is, so that every link that works there works on the site, too.

Pages keep their path in the repository: `docs/data.md` becomes `docs/data.html`, and the README beside it the front page. MkDocs
then checks all links itself, also those between docs/ and the files at the root.
"""

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
# What docs/ links to outside of itself.
BESIDE = ("*.md", "CITATION.cff", "LICENSE", "examples/*/README.md", "examples/deploy/*", "notebooks/*.ipynb")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Replaces patterns in the navigation by the files they match, in order of their names."""
    config.nav = _expanded(config.nav)
    return config


def _expanded(nav: Any) -> Any:
    if isinstance(nav, list):
        return [_expanded(entry) for entry in nav]
    if isinstance(nav, dict):
        return {title: _expanded(entry) for title, entry in nav.items()}
    return sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob(nav)) if "*" in nav else nav


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Moves the files of docs/ to where they are in the repository and adds those beside it."""
    for file in list(files):
        if file.src_dir == config.docs_dir:
            files.remove(file)
            files.append(_file(f"docs/{file.src_uri}", config))
    for pattern in BESIDE:
        for path in sorted(ROOT.glob(pattern)):
            files.append(_file(path.relative_to(ROOT).as_posix(), config))
    return files


def _file(path: str, config: MkDocsConfig) -> File:
    return File(path, str(ROOT), config.site_dir, config.use_directory_urls)
