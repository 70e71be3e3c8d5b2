"""Whole configurations that the manual shows are valid, and those that tell what a request counts as tell the truth."""

import re

import pytest

from gateway import ROOT, run

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def configurations():
    for page in PAGES:
        blocks = re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.M | re.S)
        for n, text in enumerate(block for block in blocks if re.search(r"^upstreams:", block, re.M)):
            if re.search(r"^routes:", text, re.M):
                yield pytest.param(text, id=f"{page.name}-{n}")


EXAMPLES = list(configurations())
EXAMPLE_FILES = sorted(file for file in (ROOT / "examples").rglob("*.yaml") if file.name != "compose.yaml")


def test_pages_have_whole_configurations():
    pages = {param.id.rpartition("-")[0] for param in EXAMPLES}
    assert {"README.md", "graphql.md", "mcp.md", "http.md", "sessions.md", "shadow.md", "shared-store.md"} <= pages


@pytest.mark.parametrize("text", EXAMPLES)
def test_a_configuration_of_the_manual_passes_the_check(tmp_path, text):
    file = tmp_path / "weir.yaml"
    file.write_text(text)
    done = run("check", file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", EXAMPLE_FILES, ids=lambda file: file.name)
def test_an_example_passes_the_check(file):
    done = run("check", file, env={"JWT_SECRET": "a secret of at least thirty-two bytes"})
    assert done.returncode == 0, done.stdout + done.stderr


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
    (text,) = [param.values[0] for param in EXAMPLES if param.id == f"{page}-0"]
    file = tmp_path / "weir.yaml"
    file.write_text(text)
    done = run("explain", "--config", file, "--path", path, "--message", message)
    assert done.returncode == 0, done.stdout + done.stderr
    for limit in told:
        assert limit in done.stdout
