#!/usr/bin/python3
"""The test of tools/check-layers: a sound tree passes, and a tree with one violation of each kind fails and says where."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOL = Path(__file__).resolve().parent / "check-layers"

ARCHITECTURE = """# Architecture
<!-- layers: lowest first -->
| folder | holds |
| --- | --- |
| `src/base/` | base |
| `src/limit/` | limit |
| `src/identity/` | identity |
| `src/net/` | net |
<!-- end of layers -->
| `src/elsewhere/` | a row behind the list does not count |
"""

SOUND = {
    "ARCHITECTURE.md": ARCHITECTURE,
    "include/weir/weir.h": "#pragma once\n",
    "src/base/text.h": "#pragma once\n#include <string>\n",
    "src/base/clock.h": "inline auto now() { return std::chrono::steady_clock::now(); }\n",
    "src/limit/rate.h": '#include "base/text.h"\n#include "limit/deep/inner.h"\n#include "weir/weir.h"\n',
    "src/limit/deep/inner.h": "// #include <thread> in a comment is no include, nor is steady_clock::now a call\n",
    "src/limit/rate_test.cpp": '#include <thread>\n#include "limit/rate.h"\n',
    "src/identity/identity.h": '#include "limit/rate.h"\n',
    "src/net/socket.cpp": '#include <sys/socket.h>\n#include <thread>\n#include "base/text.h"\n',
}

VIOLATIONS = {
    "an include that points upward": ("src/limit/up.h", '#include "net/socket.h"\n', "src/limit/up.h:1: "),
    "an upward include in a test": ("src/base/up_test.cpp", '\n#include "limit/rate.h"\n', "src/base/up_test.cpp:2: "),
    "an upward include that is indented": ("src/base/up.h", '#  include "limit/rate.h"\n', "points upward"),
    "a folder that is not in the list": ("src/extra/a.h", "#pragma once\n", "src/extra: "),
    "an include into such a folder": ("src/net/a.h", '#include "elsewhere/a.h"\n', "elsewhere is not a folder"),
    "an include without its folder": ("src/limit/a.h", '#include "rate.h"\n', 'write our includes as "folder/file.h"'),
    "an include by a relative path": ("src/limit/a.h", '#include "limit/../base/text.h"\n', "from src/"),
    "an include of ours in angle brackets": ("src/limit/a.h", "#include <base/text.h>\n", "is ours"),
    "an include of a file that is not there": ("src/limit/a.h", '#include "base/none.h"\n', "does not exist"),
    "sockets in a pure layer": ("src/limit/a.cpp", "#include <sys/socket.h>\n", "sys/socket.h"),
    "threads in a pure layer": ("src/identity/a.h", "#include <thread>\n", "thread"),
    "files in a pure layer": ("src/base/a.cpp", "#include <fstream>\n", "fstream"),
    "a clock that is read in a pure layer": (
        "src/limit/a.cpp", "auto t = std::chrono::steady_clock::now();\n", "src/limit/a.cpp:1: steady_clock::now"),
    "an exception that is another file's": ("src/base/hash.cpp", "#include <thread>\n", "thread"),
}


def run_on(files):
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = Path(root) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return subprocess.run([sys.executable, str(TOOL), root], capture_output=True, text=True, check=False)


class CheckLayers(unittest.TestCase):
    def test_a_sound_tree_passes(self):
        result = run_on(SOUND)
        self.assertEqual((result.returncode, result.stdout), (0, ""), result.stderr)

    def test_each_violation_fails_and_is_named(self):
        for what, (path, text, said) in VIOLATIONS.items():
            with self.subTest(what):
                result = run_on({**SOUND, path: text})
                self.assertEqual(result.returncode, 1, result.stdout)
                self.assertIn(said, result.stdout)
                self.assertIn("1 problem(s)", result.stdout)

    def test_a_row_without_its_folder_fails(self):
        files = {name: text for name, text in SOUND.items() if not name.startswith("src/net/")}
        result = run_on(files)
        self.assertEqual(result.returncode, 1)
        self.assertIn("src/net is in the list and does not exist", result.stdout)

    def test_a_page_without_the_list_fails(self):
        result = run_on({**SOUND, "ARCHITECTURE.md": "# Architecture\n"})
        self.assertEqual(result.returncode, 1)
        self.assertIn("is missing", result.stderr)


if __name__ == "__main__":
    unittest.main()
