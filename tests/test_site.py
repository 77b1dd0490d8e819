"""The documentation site: every public name on one page, and what MkDocs makes of docs/."""

import posixpath
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import ntklin

ROOT = Path(__file__).resolve().parents[1]
API = sorted((ROOT / "docs" / "api").glob("*.md"))
# What a page loads without being asked, by tag and attribute.
LOADED = {("img", "src"), ("script", "src"), ("link", "href"), ("source", "srcset")}
# An own favicon, a style sheet and such; others lead to pages and load nothing.
LOADING = {"stylesheet", "icon", "preload", "preconnect", "dns-prefetch", "modulepreload"}


def documented(pages):
    """How often the pages document each object, by its path."""
    text = "".join(page.read_text("utf-8") for page in pages)
    return Counter(re.findall(r"^::: ([\w.]+)$", text, re.M))


def test_every_public_name_is_on_one_api_page():
    found = documented(API)
    assert {path for path in found if path.count(".") == 1} == {
        f"ntklin.{name}" for name in ntklin.__all__ if name != "__version__"
    }
    assert set(found.values()) == {1}
    assert "ntklin.__version__" in (ROOT / "docs" / "api" / "index.md").read_text("utf-8")


def test_the_names_beside_the_public_ones_exist():
    for path in documented(API):
        module, _, name = path.rpartition(".")
        if module != "ntklin":
            __import__(module)
            assert hasattr(sys.modules[module], name), path


def test_every_room_has_a_page():
    pages = {page.stem for page in API}
    rooms = {module.split(".")[0] for module in ntklin._HOME.values()}
    assert pages == rooms | {"index"}


class Page(HTMLParser):
    """What the checks want of a page: its anchors, links, pictures, headings, tables, language."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.loads = set(), [], []
        self.levels, self.without_alt, self.language = [], [], None
        # Links that are open, with what can be read of them; tables, and their header cells.
        self.opened, self.nameless, self.tables, self.headless = [], [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if tag == "a":
            self.opened.append((named.get("href"), [named.get("aria-label"), named.get("title")]))
        elif tag == "img":
            self.say(named.get("alt"))
        elif tag == "table":
            self.tables.append(0)
        elif tag == "th" and self.tables:
            self.tables[-1] += 1
        self.anchors |= {named[name] for name in ("id", "name") if name in named}
        if tag == "html":
            self.language = named.get("lang")
        if tag == "img" and not named.get("alt"):
            self.without_alt.append(named.get("src"))
        for name, value in attributes:
            if name in ("href", "src"):
                self.links.append(value)
            if (tag, name) in LOADED:
                kinds = set((named.get("rel") or "stylesheet").split())
                if tag != "link" or kinds & LOADING:
                    self.loads.append(value)

    def handle_endtag(self, tag):
        if tag == "a" and self.opened:
            target, said = self.opened.pop()
            if target and not "".join(filter(None, said)).strip():
                self.nameless.append(target)
        elif tag == "table" and self.tables:
            self.headless += not self.tables.pop()

    def handle_data(self, data):
        self.say(data)

    def say(self, text):
        for _, said in self.opened:
            said.append(text)


def faults(site):
    """What is wrong with a built site, one text for each fault."""
    pages = {path: Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        if page.language != "en":
            yield f"{name}: the language is {page.language}"
        if page.levels.count(1) != 1:
            yield f"{name}: {page.levels.count(1)} headings h1"
        if any(below > above + 1 for above, below in pairwise(page.levels)):
            yield f"{name}: a heading skips a level"
        if page.headless:
            yield f"{name}: {page.headless} tables without a header"
        yield from (f"{name}: {target} is a link without a text" for target in page.nameless)
        yield from (f"{name}: no alt text of {source}" for source in page.without_alt)
        for target in page.loads:
            if urlsplit(target).netloc:
                yield f"{name}: loads {target}"
        yield from (f"{name}: {fault}" for fault in broken(page.links, path, pages, site))


def broken(links, path, pages, site):
    """The links of a page that lead nowhere within the site."""
    for link in set(links):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        base = site if parts.path.startswith("/") else path.parent
        file = base / unquote(parts.path).lstrip("/") if parts.path else path
        file = Path(posixpath.normpath(file / "index.html" if file.is_dir() else file))
        if not file.exists():
            yield f"{link} leads nowhere"
        elif parts.fragment and unquote(parts.fragment) not in pages[file].anchors:
            yield f"{link} has no such anchor"


def test_the_checks_see_faults(tmp_path):
    good = '<html lang="en"><h1 id="θ">A</h1><a href="b.html#x">b</a></html>'
    (tmp_path / "a.html").write_text(good, "utf-8")
    bad = (
        '<html><h1 id="x">B</h1><h1>C</h1><img src="missing.png"><a href="a.html#%CE%B8">a</a>'
        '<a href="#y">y</a><script src="https://cdn.example/x.js"></script>'
        '<a href="https://elsewhere.example">e</a><h3>D</h3><a href="#x"><svg></svg></a>'
        "<table><tr><td>1</td></tr></table><table><tr><th>1</th></tr></table>"
    )
    (tmp_path / "b.html").write_text(bad, "utf-8")
    assert sorted(faults(tmp_path)) == [
        "b.html: #x is a link without a text",
        "b.html: #y has no such anchor",
        "b.html: 1 tables without a header",
        "b.html: 2 headings h1",
        "b.html: a heading skips a level",
        "b.html: loads https://cdn.example/x.js",
        "b.html: missing.png leads nowhere",
        "b.html: no alt text of missing.png",
        "b.html: the language is None",
    ]


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("mkdocstrings"), reason="needs ntklin[docs]")
def test_the_site_builds_and_is_whole(tmp_path):
    site = tmp_path / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", site]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(faults(site)) == []
    api = [Page(path.read_text("utf-8")) for path in (site / "api").glob("*.html")]
    for path in documented(API):
        assert sum(path in page.anchors for page in api) == 1, path
    # Inherited members and converted formulas are there, and nothing of reStructuredText.
    assert any("ntklin.Adam.with_learning_rate" in page.anchors for page in api)
    text = "".join(path.read_text("utf-8") for path in (site / "api").glob("*.html"))
    assert "<mtable" in text
    assert not re.search(r"math::|:(class|func|meth):", text)
