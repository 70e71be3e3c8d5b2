"""Tests of what the verdicts rest on: pairing within rounds, cutting a window out of samples, the checks of answers.

    cd bench && /usr/bin/python3 -m unittest harness.report_test
"""
import unittest

from . import report, scenarios
from .processes import Sampler


def run(scenario, subject, number, errors=(), **values):
    return {"scenario": scenario, "subject": subject, "round": number, "errors": list(errors), **values}


class Ratios(unittest.TestCase):
    def test_pairs_runs_of_the_same_round_and_ignores_those_without_a_partner(self):
        runs = report.Runs([run("small", "nginx", 1, cpu_us=10), run("small", "nginx", 2, cpu_us=100),
                            run("small", "weir-epoll", 1, cpu_us=9), run("small", "weir-epoll", 2, cpu_us=110),
                            run("small", "weir-epoll", 3, cpu_us=1)])
        ratio = runs.ratio("cpu_us", ("small", "weir-epoll"), ("small", "nginx"))
        self.assertEqual([round(v, 2) for v in ratio.values], [0.9, 1.1])
        self.assertEqual(ratio.text(), "1.00 (0.90–1.10)")

    def test_a_wrong_or_stalled_run_gives_no_number(self):
        runs = report.Runs([run("small", "nginx", 1, cpu_us=10), run("small", "nginx", 2, cpu_us=10),
                            run("small", "weir-epoll", 1, errors=["mismatched: 1"], cpu_us=1),
                            run("small", "weir-epoll", 2, stalled=True, operations=0)])
        self.assertFalse(runs.ratio("cpu_us", ("small", "weir-epoll"), ("small", "nginx")))
        self.assertFalse(runs.values("small", "weir-epoll", "cpu_us"))


class Targets(unittest.TestCase):
    def verdicts(self, runs):
        return {what: met for what, _who, _bound, _measured, met in report.targets(report.Runs(runs))}

    def test_message_costs_are_judged_against_nginx_at_the_bound(self):
        for cost, expected in ((10.0, True), (10.01, False)):
            runs = [run("small", "nginx", 1, cpu_us=10.0), run("small", "weir-epoll", 1, cpu_us=cost)]
            self.assertEqual(self.verdicts(runs), {"small: CPU per message against nginx": expected})

    def test_large_messages_are_judged_against_the_cheaper_floor_of_the_same_kind(self):
        runs = [run("large", "floor-copy", 1, cpu_us=40), run("large", "floor-splice", 1, cpu_us=20),
                run("large", "floor-uring", 1, cpu_us=60), run("large", "weir-epoll", 1, cpu_us=27),
                run("large", "weir-io_uring", 1, cpu_us=77)]
        self.assertEqual(self.verdicts(runs), {"large: CPU per message against floor-splice": False,
                                               "large: CPU per message against floor-uring": True})

    def test_idle_memory_must_be_below_its_bound(self):
        for size, expected in ((2047, True), (2048, False)):
            runs = [run("idle", "weir-epoll", 1, memory_bytes=size)]
            self.assertEqual(self.verdicts(runs), {"idle: user memory of a connection": expected})

    def test_refused_handshakes_are_judged_against_admitted_ones_of_the_same_subject(self):
        for cost, expected in ((20, True), (21, False)):
            runs = [run("handshakes", "weir-epoll", 1, cpu_us=60), run("refused", "weir-epoll", 1, cpu_us=cost)]
            self.assertEqual(self.verdicts(runs), {"refused handshake against an admitted one, CPU": expected})

    def test_no_target_is_met_by_not_being_measured(self):
        self.assertEqual(report.targets(report.Runs([])), [])


class Table(unittest.TestCase):
    def entry(self, buckets, threads, ns, wall=1.0):
        name = f"take_one/algorithm:2/buckets:{buckets}/real_time/threads:{threads}"
        return {"name": name, "run_type": "iteration", "threads": threads, "cpu_time": ns,
                "real_time": ns / threads * wall, "time_unit": "ns"}

    def verdicts(self, *entries):
        return [(who, met) for _what, who, _bound, _measured, met in report.table_targets(entries)]

    def test_two_threads_may_be_no_slower_each_than_one_alone(self):
        self.assertEqual(self.verdicts(self.entry(1000, 1, 100), self.entry(1000, 2, 108)),
                         [("one thread", True), ("each of two threads", True)])
        self.assertEqual(self.verdicts(self.entry(1000, 1, 150), self.entry(1000, 2, 170)),
                         [("one thread", False), ("each of two threads", False)])

    def test_threads_that_shared_a_cpu_are_not_judged(self):
        self.assertEqual(self.verdicts(self.entry(1000, 1, 100), self.entry(1000, 2, 100, wall=2.0)),
                         [("one thread", True), ("each of two threads", None)])

    def test_the_median_of_repetitions_counts(self):
        rows = self.verdicts(self.entry(1000, 1, 100), self.entry(1000, 1, 900), self.entry(1000, 1, 120))
        self.assertEqual(rows, [("one thread", True)])

    def test_two_threads_on_one_bucket_are_not_judged(self):
        self.assertEqual(self.verdicts(self.entry(1, 1, 50), self.entry(1, 2, 200)),
                         [("one thread", True), ("each of two threads", None)])


class Windows(unittest.TestCase):
    def test_a_window_between_samples_is_interpolated(self):
        sampler = Sampler({}, [])
        sampler.samples = [{"at": 0, "proxy": 0}, {"at": 100, "proxy": 50}, {"at": 200, "proxy": 150}]
        self.assertEqual(sampler.used_ns("proxy", 50, 150), 75)
        self.assertEqual(sampler.used_ns("proxy", 100, 200), 100)
        self.assertEqual(sampler.used_ns("proxy", 100, 999), 100)


class Repeats(unittest.TestCase):
    def best(self, *results):
        bench = scenarios.Bench("", None, 0, 1, 1, 0, 1)
        left = list(results)
        bench._measure = lambda scenario, name: left.pop(0)
        return bench.measure(scenarios.SCENARIOS[0], "nginx", len(results)), len(left)

    def test_a_quiet_run_is_taken_at_once(self):
        quiet = {"others_busy": 0.01, "errors": []}
        self.assertEqual(self.best(quiet, {}, {}), (quiet, 2))

    def test_of_noisy_runs_the_quietest_is_taken_and_any_before_a_stalled_one(self):
        stalled, loud, less = {"stalled": True, "errors": []}, {"others_busy": 0.9, "errors": []}, {"others_busy": 0.5, "errors": []}
        self.assertEqual(self.best(stalled, loud, less), (less, 0))
        self.assertEqual(self.best(loud, stalled), (loud, 0))

    def test_a_wrong_answer_is_never_averted_by_trying_again(self):
        wrong = {"others_busy": 0.9, "errors": ["mismatched: 1"]}
        self.assertEqual(self.best({"others_busy": 0.8, "errors": []}, wrong, {}), (wrong, 1))


class Checks(unittest.TestCase):
    def seen(self, **changes):
        numbers = dict.fromkeys(scenarios.ECHO_CHECKS, 0)
        return {**numbers, "opened": 100, "sent": 100, "http_status": {"101": 100}, "close_codes": {}, **changes}

    def errors(self, name, **changes):
        scenario = next(s for s in scenarios.SCENARIOS if s.name == name)
        return scenarios.Bench._check(scenario, self.seen(**changes), 100)

    def test_clean_answers_are_no_error(self):
        self.assertEqual(self.errors("small"), [])
        self.assertEqual(self.errors("http", http_status={"200": 100}), [])
        self.assertEqual(self.errors("handshakes", close_codes={"1000": 100}), [])
        self.assertEqual(self.errors("refused", close_codes={"4029": 100}), [])

    def test_every_kind_of_wrong_answer_is_an_error(self):
        for key in scenarios.ECHO_CHECKS:
            self.assertEqual(self.errors("small", **{key: 3}), [f"{key}: 3"])
        self.assertTrue(self.errors("small", sent=0))
        self.assertTrue(self.errors("small", close_codes={"1011": 1}))
        self.assertTrue(self.errors("http", http_status={"200": 99, "502": 1}))
        self.assertTrue(self.errors("handshakes", close_codes={"1000": 99, "4029": 1}))
        self.assertTrue(self.errors("refused", close_codes={"4029": 99, "1000": 1}))
        self.assertTrue(self.errors("refused", close_codes={"4029": 10}))


if __name__ == "__main__":
    unittest.main()
