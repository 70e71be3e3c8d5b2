"""The manual as a site (tools/site/build.py): every link holds, it asks nothing of other hosts, and one input makes one output."""

import filecmp
import subprocess
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest

from backends import node
from gateway import ROOT

BUILD = ROOT / "tools/site/build.py"


def build(folder):
    return subprocess.run(["/usr/bin/python3", str(BUILD), str(folder)], capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "site"
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Read(HTMLParser):
    """What a page offers to links, and what it links to."""

    VOID = {"meta", "link", "input", "br", "hr", "img", "wbr"}

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.loaded, self.open = [], [], [], []
        self.feed(text)
        assert self.open == [], "elements that do not end"

    def handle_starttag(self, tag, attributes):
        told = dict(attributes)
        if tag not in self.VOID:
            self.open.append(tag)
        if "id" in told:
            self.ids.append(told["id"])
        if tag == "a":
            self.links.append(told["href"])
        elif "src" in told or tag == "link":
            self.loaded.append(told.get("src") or told["href"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"


@pytest.fixture(scope="module")
def pages(site):
    return {page: Read(page.read_text()) for page in sorted(site.rglob("*.html"))}


def test_every_link_and_anchor_leads_somewhere(site, pages):
    assert len(pages) > 30
    for page, read in pages.items():
        assert len(read.ids) == len(set(read.ids)), page
        for link in read.links:
            parts = urlsplit(link)
            if parts.scheme:
                assert parts.scheme == "https", f"{page}: {link}"
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            assert target.is_file() and target.is_relative_to(site), f"{page}: {link}"
            if parts.fragment:
                assert unquote(parts.fragment) in pages[target].ids, f"{page}: {link}"


def test_every_page_of_the_manual_is_reached_from_the_front(site, pages):
    seen, waiting = set(), [site / "index.html"]
    while waiting:
        page = waiting.pop()
        if page in seen or page not in pages:
            continue
        seen.add(page)
        waiting += [(page.parent / urlsplit(link).path).resolve() for link in pages[page].links if not urlsplit(link).scheme]
    assert seen == set(pages)


def test_nothing_is_loaded_from_elsewhere(site, pages):
    for page, read in pages.items():
        for loaded in read.loaded:
            parts = urlsplit(loaded)
            assert parts.scheme == "data" or (not parts.scheme and not parts.netloc and (page.parent / parts.path).is_file()), f"{page}: {loaded}"
    assert "url(" not in (site / "assets/site.css").read_text() and "@import" not in (site / "assets/site.css").read_text()


def test_the_same_input_makes_the_same_site(site, tmp_path):
    build(tmp_path / "again")
    names = [str(file.relative_to(site)) for file in site.rglob("*") if file.is_file()]
    assert filecmp.cmpfiles(site, tmp_path / "again", names, shallow=False) == (names, [], [])
    assert all(str(ROOT) not in file.read_text() for file in site.rglob("*.*"))


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("precious")
    done = build(tmp_path)
    assert done.returncode == 2 and "holds something else" in done.stderr
    assert (tmp_path / "mine").read_text() == "precious"


def test_a_browser_finds_its_way(site):
    seen = node("site.mjs", site, timeout=120)
    assert seen["problems"] == []
    assert all(url.startswith("file://") or url.startswith("data:") for url in seen["requests"])
    assert seen["found"][0].endswith(".inspect_bytes")
    assert seen["nothing"] == "Nothing found"
    assert seen["went"].endswith("/penalties.html")
    assert max(seen["overflow"].values()) <= 0, seen["overflow"]
    assert seen["menu"] == {"wide": True, "narrow": False, "opened": True}
    assert seen["light"] != seen["dark"]
