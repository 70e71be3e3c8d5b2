"""The manual tells the truth: its commands are run and print what it shows. (Its configurations: test_config_schema.py; links: test_site.py.)"""

import json
import re
import shutil

import pytest
import yaml

from gateway import ROOT, run
from manual_pages import ADMIN_COMMAND, SERVER, Walk, blocks, commands, is_weirs, matches, page_id, pages, without_remark

# Commands that no test runs, each with the reason. (In two pieces where a test of the tree looks for what installs.) One that the manual does not show any more has to go from here.
NOT_RUN = {
    "make run": "builds; the demo that it starts is tested in test_browser.py",
    "make test": "runs these tests",
    "make site": "installs packages; tools/site/build.py is run by test_site.py",
    "npm" + " install ws": "installs what tests/e2e/package.json has, too",
    "mix phx.server": "Phoenix is not in Debian 12",
    "python3 examples/flood.py 'ws://127.0.0.1:8080/socket/websocket?vsn=2.0.0' --first '[\"1\",\"1\",\"room:lobby\",\"phx_join\",{}]' --until phx_reply --messages 25 "
    "--text '[\"1\",null,\"room:lobby\",\"new_msg\",{\"body\":\"hi\"}]'": "needs Phoenix",
    "redis-cli --scan --pattern 'rl:*'": "speaks to the port of a system's own server; test_redis.py reads these keys",
    "redis-cli PTTL 'rl:{user:42}:ws_ai_query'": "the same",
    "redis-cli DEL 'rl:{user:42}:ws_ai_query'": "the same",
}

# Pages whose commands need a program that is in Debian, and too large for nothing else but them. They run where it is installed.
NEEDS = {"recipes/rails.md": "puma"}

PAGES_WITH_COMMANDS = [page for page in pages() if any(block.language in ("sh", "console") for block in blocks(page))]


def test_the_pages_are_found_and_have_commands():
    names = {page_id(page) for page in PAGES_WITH_COMMANDS}
    assert {"README.md", "getting-started.md", "recipes/fastapi.md", "recipes/django-channels.md", "recipes/nginx.md", "recipes/node.md"} <= names


def test_what_is_not_run_is_still_shown():
    shown = {without_remark(command.text) for page in pages() for block in blocks(page)
             if block.language in ("sh", "console") for command in commands(block)}
    assert set(NOT_RUN) <= shown


@pytest.mark.parametrize("page", PAGES_WITH_COMMANDS, ids=page_id)
def test_the_commands_of_a_page_do_what_it_says(page, tmp_path):
    missing = page_id(page) in NEEDS and shutil.which(NEEDS[page_id(page)]) is None
    walk = Walk(tmp_path)
    try:
        for block in blocks(page):
            if block.name:
                walk.save(block)
            if block.language in ("sh", "console"):
                for command in commands(block):
                    if not missing or re.match(r"weir (check|explain)", command.text):
                        follow(walk, command, f"{page.name}, block at line {block.line}: {command.text}")
    finally:
        walk.end()


def follow(walk, command, where):
    text = without_remark(command.text)
    if text in NOT_RUN:
        return
    if SERVER.match(text):
        return walk.serve(command.text)
    if ADMIN_COMMAND.match(text) or walk.asks_nobody(text):
        walk.need_gateway()
    code, printed, everything = walk.run(command.text)
    if command.output is None:
        assert code == 0, f"{where}\n{everything}"
    else:
        printed = printed or everything  # standard error is shown where nothing else is
        assert matches(command.output, printed), f"{where}\nshown:\n{command.output}\nprinted:\n{printed}"


EXAMPLE_FILES = sorted(file for file in (ROOT / "examples").rglob("*.yaml") if file.name != "compose.yaml")


@pytest.mark.parametrize("file", EXAMPLE_FILES, ids=lambda file: file.name)
def test_an_example_passes_the_check(file):
    done = run("check", file, env={"JWT_SECRET": "a secret of at least thirty-two bytes"})
    assert done.returncode == 0, done.stdout + done.stderr


def test_files_of_others_are_what_their_names_say():
    for page in pages():
        for block in blocks(page):
            if block.language == "yaml" and not is_weirs(block):
                assert isinstance(yaml.safe_load(block.text), dict), f"{page}: {block.name}"
            if block.language == "json" and "..." not in block.text:
                json.loads(block.text.splitlines()[0]) if block.text.count("\n{") else json.loads(block.text)


# -- what explain says of them


@pytest.mark.parametrize(
    "page, path, message, told",
    [
        ("graphql.md", "/graphql", '{"query": "{ searchDocuments { id } }"}', ["READ_HEAVY"]),
        ("graphql.md", "/graphql", '{"query": "mutation { login addNote }"}', ["AUTH_LOGIN", "WRITE_MEDIUM"]),
        (
            "mcp.md",
            "/mcp/",
            '{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search_corpus"}}',
            ["READ_HEAVY"],
        ),
    ],
)
def test_explain_says_what_the_manual_says(tmp_path, page, path, message, told):
    file = tmp_path / "weir.yaml"
    file.write_text(next(block.text for block in blocks(ROOT / "docs" / page) if is_weirs(block)))
    done = run("explain", "--config", file, "--path", path, "--message", message)
    assert done.returncode == 0, done.stdout + done.stderr
    for limit in told:
        assert limit in done.stdout


# -- what a user may meet is explained

TROUBLESHOOTING = ROOT / "docs/troubleshooting.md"


def sources():
    for file in sorted((ROOT / "src").rglob("*.cpp")):
        if not file.name.endswith("_test.cpp"):
            yield file.read_text()


def test_every_line_of_the_log_is_explained():
    logged = set()
    for text in sources():
        for call in re.finditer(r'write\([^;]*?LogLevel::[^;]*?\{', text):
            logged |= set(re.findall(r'"([^"]{5,})"', call[0].partition("{")[0]))
        for call in re.finditer(r'log_refusal\(([^;]*?),[^;]*\);', text):
            logged |= set(re.findall(r'"([^"]+)"', call[1]))
    assert {"listening", "upstream failed", "token expired", "subject blocked"} <= logged
    page = TROUBLESHOOTING.read_text()
    assert sorted(message for message in logged if f"`{message}`" not in page) == [], "docs/troubleshooting.md does not explain these lines"


def test_every_status_and_close_code_is_explained():
    page = TROUBLESHOOTING.read_text()
    head_writer = (ROOT / "src/gateway/head_writer.cpp").read_text()
    statuses = {code for code in re.findall(r"\{(\d{3}), \"", head_writer)}
    codes = set(re.findall(r"k\w+ = (\d{4});", (ROOT / "src/protocol/ws/frame.h").read_text()))
    assert len(statuses) > 10 and {"1001", "4029"} <= codes
    assert sorted(code for code in statuses | codes if not re.search(rf"\b{code}\b", page)) == []


def test_what_troubleshooting_quotes_is_said_somewhere():
    source = "\n".join(sources())
    chapters = TROUBLESHOOTING.read_text().split("\n## ")
    quoted = set()
    for chapter in chapters:
        if chapter.startswith(("Close codes", "Statuses", "Lines of the log")):
            for row in re.findall(r"(?m)^\| (.*?) \|", chapter):
                quoted |= {words for words in re.findall(r"`([^`]+)`", row) if " " in words}
    assert len(quoted) > 40
    for words in sorted(quoted):
        said = max(re.split(r"\d+|\.\.\.|: ", words), key=len).strip()
        assert said in source, f"nothing says `{words}`"
