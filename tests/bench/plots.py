# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plots by gnuplot, SVG."""

import statistics
import subprocess

import rows

PLOT = """
set terminal svg size 900,420 background rgb 'white'
set output '{output}/throughput.svg'
set title 'One way, both ends and all that serves them'
set xlabel 'bytes a datagram'
set ylabel 'datagrams a second of processor time'
set logscale xy
set key outside right
set grid
plot {plots}
"""


def plot(bench):
    """Throughput by size, by gnuplot; nothing when fewer than two sizes were measured."""
    bulk = [row for row in bench.rows if row.loop == "bulk"]
    if len(bulk) < 2:
        return
    plots = []
    for way in (*rows.BULK, "dtlsd-shared"):
        points = [(row.argument.split(",")[0], statistics.median(row.values(way)))
                  for row in bulk if row.values(way) and ("shared" in row.name) == ("shared" in way)]
        if not points:
            continue
        path = bench.output / f"throughput-{way}.data"
        path.write_text("".join(f"{size} {rate:g}\n" for size, rate in points))
        plots.append(f"'{path}' with linespoints title '{way}'")
    script = PLOT.format(output=bench.output, plots=", ".join(plots))
    subprocess.run(["gnuplot"], input=script, text=True, check=True)
