"""Pages of the site that lie outside docs/, and links that serve there and in the repository."""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

# Files of the repository, and the pages that they are.
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "ntklin/data/LICENSES.md": "data-licenses.md",
}
SOURCES = {page: source for source, page in OUTSIDE.items()}
LINK = re.compile(r"(?<=\]\()([^)\s#]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside docs/."""
    root = Path(config.config_file_path).parent
    for source, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=(root / source).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """A page whose links lead from its place on the site to pages of the site."""
    return LINK.sub(lambda link: site_link(link[1], page.file.src_uri), markdown)


def site_link(target: str, page: str) -> str:
    """Where a link of a page leads that is relative to the page's place in the repository."""
    if re.match(r"\w+:", target):
        return target
    source = SOURCES.get(page, f"docs/{page}")
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    path = OUTSIDE.get(path, path.removeprefix("docs/"))
    return posixpath.relpath(path, posixpath.dirname(page) or ".")
