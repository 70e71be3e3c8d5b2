"""The parts of bench/run: processes and what they cost, the proxies that are compared, the scenarios, the report."""
