#!/usr/bin/python3
"""tools/packages.txt is the one list of packages: sound in itself, and nothing else in the tree installs or lists any."""
import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GROUPS = {"build", "test", "site", "bench"}


def rows():
    for line in (ROOT / "tools/packages.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            yield line.split(None, 2)


def scripts():
    for place in ("Makefile", ".ci", "tools", "tests", "bench", "fuzz", "cmake"):
        top = ROOT / place
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and "node_modules" not in path.parts and path.suffix in ("", ".sh", ".py", ".cmake", ".txt"):
                if not any(part in ("corpus", "__pycache__") for part in path.parts):
                    yield path


class Packages(unittest.TestCase):
    def test_every_row_has_a_group_a_package_and_a_reason(self):
        for row in rows():
            self.assertEqual(len(row), 3, row)
            self.assertIn(row[0], GROUPS)
            self.assertRegex(row[1], r"^[a-z0-9][a-z0-9+.-]+$")

    def test_no_package_stands_twice(self):
        names = [row[1] for row in rows()]
        self.assertEqual(sorted(names), sorted(set(names)))

    def test_nothing_but_tools_install_installs_packages(self):
        installs = re.compile(r"\b(?:apt|apt-get|npm|pip3?) (?:-\S+ )*(?:install|ci)\b")
        found = {str(path.relative_to(ROOT)) for path in scripts() if installs.search(path.read_text())}
        self.assertEqual(found - {"tools/install", "tools/packages_test.py"}, set())

    def test_the_readme_points_to_the_list_and_does_not_repeat_it(self):
        readme = (ROOT / "README.md").read_text()
        self.assertIn("tools/packages.txt", readme)
        for _, package, _ in rows():
            if package.startswith("lib"):
                self.assertIsNone(re.search(rf"\b{re.escape(package)}\b", readme), package)


if __name__ == "__main__":
    unittest.main()
