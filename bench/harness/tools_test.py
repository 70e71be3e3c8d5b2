"""Tests of the load generator against an echo server that is right, and against one that is not.

    cd bench && WEIR_BENCH_TOOLS=../build/bench /usr/bin/python3 -m unittest harness.tools_test
"""
import json
import os
import tempfile
import unittest

from . import scenarios
from .processes import Process

TOOLS = os.path.abspath(os.environ.get("WEIR_BENCH_TOOLS", os.path.join(os.path.dirname(__file__), "../../build/bench")))
CPU = min(os.sched_getaffinity(0))


class LoadGenerator(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="weir-bench-")
        self.addCleanup(self.directory.cleanup)

    def start(self, program, *arguments):
        process = Process(program, [os.path.join(TOOLS, program), *arguments], CPU, self.directory.name)
        self.addCleanup(process.stop)
        return process

    def load(self, echo_arguments, load_arguments, through=None):
        """What wsload saw of 0.2 s, directly or through a floor proxy."""
        port = self.start("wsecho", *echo_arguments).wait_line("LISTENING", 10)
        if through:
            port = self.start(through[0], "--upstream-port", port, *through[1:]).wait_line("LISTENING", 10)
        out = os.path.join(self.directory.name, "out.json")
        load = self.start("wsload", "--url", f"ws://127.0.0.1:{port}/", "--connections", "4", "--duration", "0.2",
                          "--warmup", "0", "--json", out, *load_arguments)
        load.wait_end(60)
        with open(out) as f:
            return json.load(f)

    def assert_clean(self, seen):
        self.assertGreater(seen["sent"], 0)
        self.assertEqual({key: seen[key] for key in scenarios.ECHO_CHECKS}, dict.fromkeys(scenarios.ECHO_CHECKS, 0))

    def test_honest_echoes_are_clean_at_every_length_of_the_frame_header(self):
        for size in ("1", "64", "125", "126", "65535", "65536", "200000"):
            with self.subTest(size=size):
                self.assert_clean(self.load([], ["--verify", "--size", size, "--pipeline", "3"]))

    def test_one_wrong_byte_in_a_hundred_frames_is_noticed(self):
        for size in ("64", "65536"):
            with self.subTest(size=size):
                seen = self.load(["--corrupt-every", "100"], ["--verify", "--size", size, "--pipeline", "16"])
                self.assertGreater(seen["mismatched"], 0)

    def test_the_floors_pass_every_byte(self):
        floors = [("floor_epoll", "--mode", "copy"), ("floor_epoll", "--mode", "splice")]
        if scenarios.subjects.io_uring_works():
            floors.append(("floor_uring",))
        for floor in floors:
            for size in ("64", "65536"):
                with self.subTest(floor=floor, size=size):
                    self.assert_clean(self.load([], ["--verify", "--size", size, "--pipeline", "4"], floor))

    def test_an_unreachable_target_is_no_success(self):
        load = self.start("wsload", "--url", "ws://127.0.0.1:1/", "--duration", "0.1", "--connect-timeout", "1")
        self.assertEqual(load.wait_end(30), 1)

    def test_a_target_that_is_not_this_machine_is_refused(self):
        load = self.start("wsload", "--url", "ws://192.0.2.1:80/")
        self.assertEqual(load.wait_end(30), 2)


if __name__ == "__main__":
    unittest.main()
