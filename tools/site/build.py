#!/usr/bin/python3
"""Makes the manual as a static site: docs/, and what it links to in the tree.

    tools/site/build.py [FOLDER]        into build/site unless told otherwise

The pages and their order are what docs/README.md lists: its headings are the groups of the navigation, and the
first link of each row of its tables is a page. Links are those that hold in the tree. A page that the list lacks, a link that
leads nowhere and an anchor that no heading has are errors, and nothing is written.

The site asks nothing of any other host, and works from a folder as well as from a server. One input makes one output: it holds
no time and no path of the machine.
"""

import html
import json
import os
import posixpath
import re
import shutil
import sys
from pathlib import Path
from urllib.parse import unquote

from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
HOME = "docs/README.md"
ASSETS = ("site.css", "site.js")
FORMATTER = HtmlFormatter(nowrap=True)
LEXERS = {"": "text", "js": "javascript", "yml": "yaml"}
SEARCHED_CHARACTERS_MAX = 4000  # of a section: what is longer is a table of keys, of which each row is found by itself
UNBROKEN_MAX = 20  # characters of code within a text
ROW = 9  # the level of a row among headings


class Broken(Exception):
    """What keeps the site from being made: one line for each."""


def slug(text):
    """The anchor of a heading, as the forges make it, so that a link holds here and there."""
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def output_name(path):
    """Where a file of the tree lies in the site."""
    if path == HOME:
        return "index.html"
    inside = path.removeprefix("docs/")
    if inside == path:
        inside = f"tree/{path}"
    if inside.endswith("README.md"):
        inside = inside.removesuffix("README.md") + "index.md"
    return inside.removesuffix(".md") + ".html" if path.endswith(".md") else inside + ".html"


class Section:
    def __init__(self, anchor, title, level):
        self.anchor, self.title, self.level, self.text = anchor, title, level, []


class Page:
    """One file of the tree, read: its HTML, its headings, its text for the search, and what it links to."""

    def __init__(self, path):
        self.path, self.output = path, output_name(path)
        self.sections, self.rows, self.links = [], [], []
        source = (ROOT / path).read_text()
        if path.endswith(".md"):
            self._read_markdown(source)
        else:
            self._read_source(source)

    def _read_source(self, source):
        self.title = self.path
        language = "yaml" if self.path.endswith((".yaml", ".yml")) else "text"
        self.body = f"<h1>{html.escape(self.path)}</h1>\n{code_block(source, language)}"
        self.sections = [Section("", self.title, 1)]
        self.sections[0].text = [source]

    def _read_markdown(self, source):
        reader = MarkdownIt("commonmark", {"html": True}).enable("table")
        tokens = reader.parse(source)
        self.title = None
        for position, token in enumerate(tokens):
            if token.type == "heading_open":
                self._on_heading(token, tokens[position + 1])
            elif token.type == "tr_open" and self.path.startswith("docs/reference/"):
                self._on_row(token, tokens[position : tokens_end(tokens, position)])
            elif token.type in ("inline", "fence", "code_block"):
                self._on_text(token)
            for child in token.children or ():
                if child.type == "link_open":
                    self.links.append(child)
        if self.title is None:
            raise Broken(f"{self.path}: has no title")
        label_cells(tokens)
        self._reader, self._tokens = reader, tokens

    def _on_heading(self, token, inline):
        title = "".join(child.content for child in inline.children)
        level = int(token.tag[1])
        anchor = slug(title)
        same = sum(1 for section in self.sections if re.fullmatch(re.escape(anchor) + r"(-\d+)?", section.anchor))
        if same > 0:
            anchor += f"-{same}"
        token.attrSet("id", anchor)
        if level == 1:
            self.title = self.title or title
        self.sections.append(Section(anchor, title, level))

    def _on_row(self, token, inside):
        """A row of a table of keys is found by its key, and has an anchor."""
        first, *others = [cell for cell in inside if cell.type == "inline"]
        if [child.type for child in first.children] != ["code_inline"] or "." not in first.content:
            return
        key = first.children[0].content
        anchor = "key-" + re.sub(r"\W+", "-", key.replace("[]", "").replace("*", "name"))
        token.attrSet("id", anchor)
        row = Section(anchor, key, ROW)
        row.text = [others[-1].content.replace("`", "")] if others else []
        self.rows.append(row)

    def _on_text(self, token):
        if not self.sections:
            return
        if token.type == "inline":
            words = "".join(child.content if child.type in ("text", "code_inline") else " " for child in token.children)
        else:
            words = token.content
        if words != self.sections[-1].title:
            self.sections[-1].text.append(words)

    def anchors(self):
        return {section.anchor for section in self.sections + self.rows}

    def render(self):
        """The body; links are final by now."""
        if hasattr(self, "body"):
            return self.body
        rules = self._reader.renderer.rules
        rules["fence"] = lambda tokens, index, options, env: code_block(
            tokens[index].content, *tokens[index].info.split()
        )
        rules["code_block"] = lambda tokens, index, options, env: code_block(tokens[index].content)
        rules["code_inline"] = lambda tokens, index, options, env: inline_code(tokens[index].content)
        rules["table_open"] = lambda *_: '<div class="table" tabindex="0" role="region" aria-label="Table"><table>\n'
        rules["table_close"] = lambda *_: "</table></div>\n"
        rules["heading_close"] = self._heading_close
        return self._reader.renderer.render(self._tokens, self._reader.options, {})

    def _heading_close(self, tokens, index, options, env):
        opening = tokens[index - 2]
        anchor = opening.attrGet("id")
        title = html.escape("".join(child.content for child in tokens[index - 1].children), quote=True)
        link = "" if opening.tag == "h1" else f' <a class="anchor" href="#{anchor}" aria-label="Link to {title}">#</a>'
        return f"{link}</{opening.tag}>\n"


def label_cells(tokens):
    """Where a table has many columns, a small screen shows each row as a list: every cell knows its column's name then."""
    labels, column, inside_head = [], 0, False
    for position, token in enumerate(tokens):
        if token.type == "thead_open":
            labels, inside_head = [], True
        elif token.type == "thead_close":
            inside_head = False
        elif token.type == "tr_open":
            column = 0
        elif token.type == "th_open" and inside_head:
            labels.append("".join(child.content for child in tokens[position + 1].children))
        elif token.type == "td_open":
            if len(labels) > 2 and column > 0:
                token.attrSet("data-label", labels[column])
            column += 1


def inline_code(code):
    """Short code stays in one line; long names may break behind what divides their parts."""
    if len(code) <= UNBROKEN_MAX:
        return f'<code class="short">{html.escape(code, quote=False)}</code>'
    return "<code>" + re.sub(r"([./_:=])(?=[^\W\d])", r"\1<wbr>", html.escape(code, quote=False)) + "</code>"


def tokens_end(tokens, position):
    """Where the row that begins at `position` ends."""
    return next(at for at in range(position, len(tokens)) if tokens[at].type == "tr_close")


def code_block(text, language="", file=""):
    """A fence says its language, and after it the name that the file has where it is saved."""
    name = LEXERS.get(language, language)
    try:
        lexer = get_lexer_by_name(name, stripnl=False)
    except ClassNotFound:
        lexer = get_lexer_by_name("text", stripnl=False)
    above = f'<p class="file">{html.escape(file)}</p>\n' if file else ""
    mark = (" data-file" if file else "") + (' class="wraps"' if language == "console" else "")
    return f'{above}<pre tabindex="0"{mark}><code>{highlight(text, lexer, FORMATTER)}</code></pre>\n'


def external(target):
    return re.match(r"[a-z][a-z0-9+.-]*:", target) is not None


class Site:
    def __init__(self):
        self.pages = {}
        self.copied = {}  # files that are served as they are: path -> name in the site
        self.problems = []

    def read(self):
        """All pages of docs/, then what they link to outside of it, until nothing new is named."""
        waiting = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))
        while waiting:
            path = waiting.pop(0)
            if path in self.pages:
                continue
            try:
                self.pages[path] = Page(path)
            except Broken as why:
                self.problems.append(str(why))
                continue
            for link in self.pages[path].links:
                target = self._target(path, link.attrGet("href"))
                if target and target not in self.pages and target not in waiting:
                    waiting.append(target)

    def _target(self, path, href):
        """The file of the tree that a link names and that is to be a page; None for all others."""
        if external(href) or href.startswith("#"):
            return None
        file = posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(href.partition("#")[0])))
        if (ROOT / file).is_dir():
            file = posixpath.join(file, "README.md")
        if not (ROOT / file).is_file() or file.startswith("../"):
            return None
        if file.startswith("docs/") and not file.endswith(".md"):
            self.copied[file] = file.removeprefix("docs/")
            return None
        return file

    def link(self):
        """Turns the links of the tree into those of the site."""
        for path, page in sorted(self.pages.items()):
            for link in page.links:
                self._link(path, page, link)

    def _link(self, path, page, link):
        href = link.attrGet("href")
        if external(href):
            link.attrSet("rel", "noreferrer")
            return
        file, _, anchor = href.partition("#")
        if file == "":
            target = page
        else:
            name = posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(file)))
            if name in self.copied:
                link.attrSet("href", relative(page.output, self.copied[name]))
                return
            if (ROOT / name).is_dir() and not (ROOT / name / "README.md").is_file():
                self._link_folder(page, name, link)
                return
            target = self.pages.get(name) or self.pages.get(posixpath.join(name, "README.md"))
        if target is None:
            self.problems.append(f"{path}: the link {href} leads nowhere")
        elif anchor and anchor not in target.anchors():
            self.problems.append(f"{path}: the link {href} names a heading that {target.path} does not have")
        else:
            place = f"#{anchor}" if anchor else ""
            link.attrSet("href", place if target is page else relative(page.output, target.output) + place)

    def _link_folder(self, page, name, link):
        """A folder of the tree has no page of its own: the list of what the site has of it."""
        inside = sorted(path for path in self.pages if path.startswith(name + "/"))
        if not inside:
            self.problems.append(f"{page.path}: the folder {name} has no page in the site")
            return
        link.attrSet("href", relative(page.output, self.pages[inside[0]].output))

    def navigation(self):
        """[(group, [(label, page)])] as docs/README.md has it."""
        groups, seen = [], {HOME}
        for line in (ROOT / HOME).read_text().splitlines():
            heading = re.match(r"## (.*)", line)
            row = re.match(r"\| \[([^\]]+)\]\(([^)#]+)\)", line)
            if heading:
                groups.append((heading[1], []))
            elif row:
                file = posixpath.normpath(posixpath.join("docs", row[2]))
                if file not in self.pages:
                    continue  # said by link()
                if not groups:
                    raise Broken(f"{HOME}: the page {file} stands under no heading")
                groups[-1][1].append((row[1], self.pages[file]))
                seen.add(file)
        listed_folders = {posixpath.dirname(path) for path in seen if path.endswith("/README.md") and path != HOME}
        for path in sorted(self.pages):
            if path.startswith("docs/") and path not in seen and posixpath.dirname(path) not in listed_folders:
                self.problems.append(f"{path}: is not listed in {HOME}")
        return [(title, entries) for title, entries in groups if entries]

    def write(self, folder):
        navigation = self.navigation()
        order = [self.pages[HOME]] + [page for _, entries in navigation for _, page in entries]
        rendered = {path: page.render() for path, page in sorted(self.pages.items())}
        if self.problems:
            raise Broken("\n".join(self.problems))
        if folder.exists():
            shutil.rmtree(folder)
        for path, page in sorted(self.pages.items()):
            file = folder / page.output
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(document(page, rendered[path], navigation, order))
        for path, name in sorted(self.copied.items()):
            shutil.copyfile(ROOT / path, folder / name)
        (folder / "assets").mkdir()
        for name in ASSETS:
            shutil.copyfile(HERE / name, folder / "assets" / name)
        (folder / "assets/search.js").write_text(self.search_index())
        return len(self.pages)

    def search_index(self):
        """Every section of every page, as a script: pages that are opened as files may not fetch."""
        entries = []
        for _, page in sorted(self.pages.items()):
            for section in page.sections + page.rows:
                text = re.sub(r"\s+", " ", " ".join(section.text)).strip()[:SEARCHED_CHARACTERS_MAX]
                place = page.output + (f"#{section.anchor}" if section.level > 1 else "")
                entries.append([place, page.title, section.title if section.level > 1 else "", text])
        return "window.weirSearch = " + json.dumps(entries, ensure_ascii=False, separators=(",", ":")) + ";\n"


def relative(of, to):
    return os.path.relpath(to, posixpath.dirname(of) or ".")


def navigation_html(page, navigation):
    lines = []
    for title, entries in navigation:
        lines.append(f"<h2>{html.escape(title)}</h2>\n<ul>")
        for label, target in entries:
            here = ' aria-current="page"' if target is page else ""
            lines.append(f'<li><a href="{relative(page.output, target.output)}"{here}>{html.escape(label)}</a></li>')
        lines.append("</ul>")
    return "\n".join(lines)


def contents_html(page):
    inner = [section for section in page.sections if section.level in (2, 3)]
    if len(inner) < 2:
        return ""
    items = "\n".join(
        f'<li class="level{section.level}"><a href="#{section.anchor}">{html.escape(section.title)}</a></li>' for section in inner
    )
    return (
        '<details class="contents" open>\n<summary>On this page</summary>\n'
        f'<nav aria-label="On this page">\n<ul>\n{items}\n</ul>\n</nav>\n</details>\n'
    )


def neighbours_html(page, order):
    if page not in order:
        return ""
    at = order.index(page)
    links = []
    for step, word, rel in ((-1, "Previous", "prev"), (1, "Next", "next")):
        if 0 <= at + step < len(order):
            other = order[at + step]
            links.append(f'<a rel="{rel}" href="{relative(page.output, other.output)}"><small>{word}</small> {html.escape(other.title)}</a>')
    return f'<nav class="neighbours" aria-label="Neighbouring pages">\n{chr(10).join(links)}\n</nav>\n'


def version():
    return re.search(r"project\(weir VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]


def document(page, body, navigation, order):
    up = relative(page.output, "assets")
    home = relative(page.output, "index.html")
    title = "Weir" if page.path == HOME else f"{page.title} - Weir"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{up}/site.css">
<script defer src="{up}/search.js"></script>
<script defer src="{up}/site.js" data-root="{relative(page.output, ".")}"></script>
</head>
<body>
<a class="skip" href="#site-text">To the text</a>
<header>
<a class="name" href="{home}">Weir</a>
<form role="search" hidden>
<input type="search" id="site-search" placeholder="Search ( / )" aria-label="Search the manual" autocomplete="off" role="combobox"
 aria-expanded="false" aria-controls="site-results" aria-autocomplete="list">
<div id="site-results" role="listbox" aria-label="Results" hidden></div>
</form>
</header>
<div class="columns">
<details class="pages" open>
<summary>Pages</summary>
<nav aria-label="Pages">
{navigation_html(page, navigation)}
</nav>
</details>
<main id="site-text" tabindex="-1">
{contents_html(page)}<article>
{body}</article>
{neighbours_html(page, order)}<footer>Weir {version()}, made from <code>{html.escape(page.path)}</code></footer>
</main>
</div>
</body>
</html>
"""


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build/site"
    if folder.exists() and any(folder.iterdir()) and not (folder / "assets/search.js").exists():
        print(f"tools/site/build.py: {folder} holds something else than a site", file=sys.stderr)
        return 2
    site = Site()
    try:
        site.read()
        site.link()
        count = site.write(folder)
    except Broken as why:
        print(why, file=sys.stderr)
        return 1
    print(f"{count} pages in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
