"""From runs to tables and verdicts. Pure: takes lists of dictionaries, returns text.

A ratio is taken within a round, where both sides ran within seconds of each other; what is shown is the median of the
rounds, with the smallest and the largest.
"""
import statistics

WEIR = ("weir-epoll", "weir-io_uring")


class Spread:
    def __init__(self, values):
        self.values = sorted(values)

    def __bool__(self):
        return bool(self.values)

    @property
    def median(self):
        return statistics.median(self.values)

    def text(self, digits=2, unit=""):
        if not self.values:
            return "–"
        low, high = self.values[0], self.values[-1]
        spread = f" ({low:.{digits}f}–{high:.{digits}f})" if len(self.values) > 1 else ""
        return f"{self.median:.{digits}f}{unit}{spread}"


class Runs:
    """All runs of one invocation, found by scenario and subject."""

    def __init__(self, runs):
        self.runs = runs

    def of(self, scenario, subject):
        return {r["round"]: r for r in self.runs if r["scenario"] == scenario and r["subject"] == subject and not r["errors"]}

    def values(self, scenario, subject, key):
        return Spread([r[key] for r in self.of(scenario, subject).values() if key in r])

    def ratio(self, key, numerator, denominator):
        """Each is (scenario, subject); the quotients of the rounds that have both."""
        over, under = self.of(*numerator), self.of(*denominator)
        return Spread([over[n][key] / under[n][key] for n in over
                       if n in under and under[n].get(key) and key in over[n]])

    def subjects(self, scenario):
        return list(dict.fromkeys(r["subject"] for r in self.runs if r["scenario"] == scenario.name))


def percent(spread):
    return f"{100 * spread.median:.0f} %" if spread else "–"


def load_table(runs, scenario):
    rows = [f"| | CPU µs per {scenario.unit} | ÷ nginx | ÷ floor-copy | {scenario.unit}s/s | p50 µs | p99 µs | proxy CPU busy | load + echo |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for subject in sorted(runs.subjects(scenario), key=list(scenario.subjects).index):
        here = (scenario.name, subject)
        rate = runs.values(*here, "per_second")
        load, echo = runs.values(*here, "load_busy"), runs.values(*here, "echo_busy")
        generator = f"{100 * load.median:.0f} + {100 * echo.median:.0f} %" if load else "–"
        busy = runs.values(*here, "proxy_busy")
        # Where the proxy still had time to spare, another part was the limit, and the rate is a lower bound.
        bound = "≥ " if busy and busy.median < 0.95 and scenario.name != "paced" else ""
        against = ["1" if subject == other else runs.ratio("cpu_us", here, (scenario.name, other)).text()
                   for other in ("nginx", "floor-copy")]
        cells = [subject, runs.values(*here, "cpu_us").text(), *against,
                 f"{bound}{rate.median:,.0f}" if rate else "–", runs.values(*here, "p50_us").text(0),
                 runs.values(*here, "p99_us").text(0), percent(busy), generator]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def idle_table(runs, scenario):
    rows = ["| | bytes per connection | connections | whole process MiB |", "| --- | ---: | ---: | ---: |"]
    for subject in sorted(runs.subjects(scenario), key=list(scenario.subjects).index):
        here = (scenario.name, subject)
        size, whole = runs.values(*here, "memory_bytes"), runs.values(*here, "process_bytes")
        count = runs.values(*here, "operations")
        rows.append(f"| {subject} | {size.text(0)} | {f'{count.median:,.0f}' if count else '–'} | "
                    f"{whole.median / 2**20 if whole else 0:.1f} |")
    return rows


def floor_of_same_kind(runs, subject):
    """The cheapest proxy that looks at nothing and is built on the same kernel interface."""
    names = ("floor-copy", "floor-splice") if subject == "weir-epoll" else ("floor-uring",)
    measured = [(runs.values("large", n, "cpu_us").median, n) for n in names if runs.values("large", n, "cpu_us")]
    return min(measured)[1] if measured else None


def targets(runs):
    """Rows of (what, who, bound as text, measured as text, whether it is met), for what was measured."""
    rows = []

    def add(what, subject, spread, bound, unit="×", digits=2, strict=False):
        if spread:
            met = spread.median < bound if strict else spread.median <= bound
            sign = "<" if strict else "≤"
            rows.append((what, subject, f"{sign} {bound:.{digits}f}{unit}", spread.text(digits, unit), met))

    for subject in WEIR:
        for scenario in ("small", "pipelined", "paced"):
            add(f"{scenario}: CPU per message against nginx", subject,
                runs.ratio("cpu_us", (scenario, subject), (scenario, "nginx")), 1.0)
        for scenario in ("json", "json-pipelined"):
            add(f"{scenario}: CPU per message against nginx", subject,
                runs.ratio("cpu_us", (scenario, subject), (scenario, "nginx")), 1.2)
        floor = floor_of_same_kind(runs, subject)
        if floor:
            add(f"large: CPU per message against {floor}", subject,
                runs.ratio("cpu_us", ("large", subject), ("large", floor)), 1.3)
        add("graphql: CPU per request against the same on a plain route", subject,
            runs.ratio("cpu_us", ("graphql", subject), ("post", subject)), 1.15)
        add("graphql: CPU per request against nginx", subject,
            runs.ratio("cpu_us", ("graphql", subject), ("graphql", "nginx")), 1.0)
        add("refused handshake against an admitted one, CPU", subject,
            runs.ratio("cpu_us", ("refused", subject), ("handshakes", subject)), 1 / 3)
        add("idle: user memory of a connection", subject, runs.values("idle", subject, "memory_bytes"), 2048, " B", 0, True)
    return rows


ALGORITHMS = {"algorithm:0": "fixed_window", "algorithm:1": "sliding_window", "algorithm:2": "gcra"}


def table_targets(entries):
    """Rows like those of targets(), from the JSON of table_bench: time of one decision on one thread, and on each of two.

    It is CPU time, which others on the machine do not lengthen and which a thread that spins for a lock does spend; with
    several threads Google Benchmark sums it over them and divides by all iterations. Two threads on a single bucket
    take turns by necessity, so that pair is shown and not judged. Nor is one whose threads did not run side by side, as
    wall time tells: threads that share a CPU never meet, and would pass without having been tried.
    """
    found, apart = {}, set()
    for entry in entries or []:
        parts = entry["name"].split("/")
        if parts[0] != "take_one" or entry.get("run_type", "iteration") != "iteration":
            continue
        algorithm = next((ALGORITHMS[p] for p in parts if p in ALGORITHMS), "")
        buckets = next((int(p.removeprefix("buckets:")) for p in parts if p.startswith("buckets:")), 0)
        threads = entry.get("threads", 1)
        if entry["real_time"] * threads > entry["cpu_time"] * 1.25:
            apart.add((algorithm, buckets, threads))
        ns = entry["cpu_time"] * {"ns": 1, "us": 1e3, "ms": 1e6}[entry.get("time_unit", "ns")]
        found.setdefault((algorithm, buckets), {}).setdefault(threads, []).append(ns)
    rows = []
    for (algorithm, buckets), by_threads in found.items():
        what = f"table: one decision, {algorithm}, {buckets:,} bucket{'s' if buckets > 1 else ''}"
        one, two = Spread(by_threads.get(1, [])), Spread(by_threads.get(2, []))
        if one:
            rows.append((what, "one thread", "< 150 ns", one.text(0, " ns"), one.median < 150))
        if one and two:
            bound = one.median * 1.1
            judged = buckets > 1 and (algorithm, buckets, 2) not in apart
            rows.append((what, "each of two threads", f"≤ {bound:.0f} ns" if judged else "–", two.text(0, " ns"),
                         two.median <= bound if judged else None))
    return rows


def target_table(rows):
    lines = ["| target | who | bound | measured | |", "| --- | --- | ---: | ---: | --- |"]
    verdict = {True: "pass", False: "**fail**", None: "not judged"}
    lines += [f"| {what} | {who} | {bound} | {measured} | {verdict[met]} |" for what, who, bound, measured, met in rows]
    return lines


def generator_lines(runs, scenarios):
    """Whether the load generator was the limit: what it reaches without a proxy, and how busy its CPU was."""
    lines = []
    for scenario in scenarios:
        direct = runs.values(scenario.name, "direct", "per_second")
        best = [(runs.values(scenario.name, s, "per_second").median, s) for s in runs.subjects(scenario)
                if s != "direct" and runs.values(scenario.name, s, "per_second")]
        if direct and best and scenario.name != "paced":
            rate, subject = max(best)
            lines.append(f"* {scenario.name}: {direct.median:,.0f} {scenario.unit}s/s without a proxy; the fastest proxy "
                         f"({subject}) reached {100 * rate / direct.median:.0f} % of that.")
    return lines


def markdown(runs_list, scenarios, header, target_rows, judged):
    runs = Runs(runs_list)
    lines = [f"{header}", ""]
    for scenario in scenarios:
        if runs.subjects(scenario):
            table = idle_table if scenario.name == "idle" else load_table
            lines += [f"**{scenario.name}**: {scenario.title}", "", *table(runs, scenario), ""]
    ceiling = generator_lines(runs, scenarios)
    if ceiling:
        lines += ["**Load generator**", "", *ceiling, ""]
    if judged and target_rows:
        lines += ["**Targets**", "", *target_table(target_rows), ""]
    return "\n".join(lines)
