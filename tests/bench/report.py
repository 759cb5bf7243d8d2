# SPDX-License-Identifier: LGPL-2.1-or-later
"""The goals' table, made to be shown as it is, and the figures of each row: Markdown."""

import datetime
import os
import platform
import statistics
import subprocess

import rows


def figure(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def spread(values):
    return f"{figure(statistics.median(values))} ({figure(min(values))} to {figure(max(values))})"


def values_of(row, goal):
    for found in row.rounds:
        try:
            yield goal.value(found)
        except KeyError:
            pass  # a way was left out


def verdict(values, bound, less, exact):
    if bound is None:
        return ""
    if len(values) < 5 and not exact:
        return "too few rounds"
    good = [value <= bound if less else value >= bound for value in values]
    return "met" if all(good) else "missed" if not any(good) else "within the noise"


def bound(value, less):
    return "" if value is None else f"{'≤' if less else '≥'} {value:g}"


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo")
                  if line.startswith("model name")), platform.machine())
    versions = []
    for name in ("gnutls", "openssl", "Qt6Core", "libsystemd"):
        found = subprocess.run(["pkg-config", "--modversion", name], capture_output=True, text=True)
        if found.returncode == 0:
            versions.append(f"{name} {found.stdout.strip()}")
    return (f"{datetime.date.today()}; {model}, {os.cpu_count()} processors; "
            f"Linux {platform.release()}; {', '.join(versions)}")


def verdicts(bench, goal, values):
    for limit in (goal.must, goal.aim):
        yield bound(limit, goal.less)
        yield "" if bench.is_short else verdict(values, limit, goal.less, goal.exact)


def goals(bench):
    by_name = {row.name: row for row in bench.rows}
    yield from ("| what | measured (least to greatest) | must be | | aim | |", "|---|---|---|---|---|---|")
    for goal in rows.GOALS:
        values = list(values_of(by_name[goal.row], goal)) if goal.row in by_name else []
        if values:
            yield " | ".join([f"| {goal.title}", spread(values), *verdicts(bench, goal, values)]) + " |"


def cells(row, way):
    yield spread(row.values(way))
    costs = [row.values(way, key) for key in ("client_us", "server_us") if key in row.rounds[-1].get(way, {})]
    yield " + ".join(figure(statistics.median(values)) for values in costs)
    yield f"{sum(row.values(way, 'lost')):g}" if row.loop == "bulk" else ""


def table(row):
    yield from ("", f"{row.title}; {row.counted} (`{row.name}`):", "",
                "| | median (least to greatest) | processor time, µs, client + server | lost |",
                "|---|---|---|---|")
    for way in row.ways:
        if row.values(way):
            yield f"| {way} | " + " | ".join(cells(row, way)) + " |"


def report(bench):
    """Short: the goals, and what could not be measured."""
    form = "the short form: that it works, and nothing else" if bench.is_short else f"{bench.n_rounds} rounds"
    lines = [f"{machine()}; {form}.", "", *goals(bench)]
    for what, why in bench.left_out.items():
        lines += ["", f"Left out: {what}: {why}"]
    for what, why in bench.failures:
        lines += ["", f"Failed once: {what}: {why}"]
    return "\n".join(lines) + "\n"


def figures(bench):
    """All ways of all rows."""
    return "\n".join(line for row in bench.rows for line in table(row)).lstrip() + "\n"
