# SPDX-License-Identifier: LGPL-2.1-or-later
"""The goals' table, and the figures of each row, as Markdown."""

import datetime
import os
import platform
import statistics
import subprocess

import rows

KB = 1.024  # KiB in kB


def figure(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def spread(values):
    return f"{figure(statistics.median(values))} ({figure(min(values))} to {figure(max(values))})"


def ratios(row, goal):
    for found in row.rounds:
        if goal.way not in found or (goal.other and goal.other not in found):
            continue
        mine = found[goal.way][row.key]
        if goal.other is None:
            yield mine * KB if row.key == "kib" else mine
        else:
            ratio = mine / found[goal.other][row.key]
            yield 1 / ratio if row.less and not goal.less else ratio


def verdict(values, bound, less):
    good = [value <= bound if less else value >= bound for value in values]
    if len(values) < 5:
        return "too few rounds"
    return "met" if all(good) else "missed" if not any(good) else "within the noise"


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


def report(bench):
    lines = [f"Measured: {machine()}; {bench.n_rounds} rounds.", ""]
    by_name = {row.name: row for row in bench.rows}

    lines += ["| goal | must | aim | median (least to greatest) | must | aim |", "|---|---|---|---|---|---|"]
    for goal in rows.GOALS:
        row = by_name.get(goal.row)
        values = list(ratios(row, goal)) if row else []
        if not values:
            continue
        lines.append(f"| {goal.title} | {goal.must:g} | {goal.goal:g} | {spread(values)} | "
                     f"{verdict(values, goal.must, goal.less)} | "
                     f"{verdict(values, goal.goal, goal.less)} |")

    for row in bench.rows:
        lines += ["", f"{row.title}:", "", "| | median (least to greatest) | processor time, µs, client + server | lost |",
                  "|---|---|---|---|"]
        for way in row.ways:
            values = row.values(way)
            if not values:
                continue
            cost = lost = ""
            if row.key != "kib":
                cost = " + ".join(figure(statistics.median(row.values(way, key)))
                                  for key in ("client_us", "server_us"))
            if row.loop == "bulk":
                lost = f"{sum(row.values(way, 'lost')):g}"
            lines.append(f"| {way} | {spread(values)} | {cost} | {lost} |")

    for what, why in bench.left_out.items():
        lines += ["", f"Left out: {what}: {why}"]
    return "\n".join(lines) + "\n"
