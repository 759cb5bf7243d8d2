# SPDX-License-Identifier: LGPL-2.1-or-later
"""Plots by gnuplot, SVG: throughput by size, how long round trips take, and what connections cost by
their number. A plot of what was not measured is not made."""

import statistics
import subprocess

import rows

HEAD = """
set terminal svg size 900,{height} background rgb 'white'
set output '{output}/{name}.svg'
set key outside right
set grid
"""

THROUGHPUT = HEAD + """
set title 'One way: both ends, and all that serves them'
set xlabel 'bytes a datagram'
set ylabel 'datagrams a second of processor time'
set logscale xy
plot {throughput}
"""

LATENCY = HEAD + """
set title 'Round trips of 64 bytes'
set xlabel 'µs'
set ylabel 'of 100 take no longer'
set logscale x
set yrange [0:100]
plot {latency}
"""

CONNECTIONS = HEAD + """
set xlabel 'connections of one server'
set logscale x
set yrange [0:*]
set multiplot layout 2,1
set title 'A datagram of each in turn, and its answer: the server, and all that serves it'
set ylabel 'µs of processor time'
plot {cost}
set title 'Idle: the processes of the server and the kernel'
set ylabel 'KiB each'
plot {memory}
"""


class Plots:
    def __init__(self, bench):
        self.output = bench.output
        self.rows = {row.name: row for row in bench.rows}

    def points(self, way, names, x, key):
        """The median of each row that has it, by x(row)."""
        for name in names:
            row = self.rows.get(name)
            values = row.values(way, key) if row else []
            if values:
                yield x(row), statistics.median(values)

    def line(self, name, way, points):
        path = self.output / f"{name}-{way}.data"
        path.write_text("".join(f"{x:g} {y:g}\n" for x, y in points))
        return f"'{path}' with linespoints title '{way}'"

    def lines(self, name, ways, points, least=2):
        """For gnuplot, one for each of the ways with at least so many points."""
        found = {way: list(points(way)) for way in ways}
        return ", ".join(self.line(name, way, some) for way, some in found.items() if len(some) >= least)

    def draw(self, script, name, height, **lines):
        if all(lines.values()):
            script = script.format(output=self.output, name=name, height=height, **lines)
            subprocess.run(["gnuplot"], input=script, text=True, check=True)

    def throughput(self, way):
        kind = "bulk-shared" if "shared" in way else "bulk"
        return self.points(way, [f"{kind}-{size}" for size in rows.SIZES],
                           lambda row: int(row.argument.split(",")[0]), "per_cpu")

    def latency(self, way):
        for percent in rows.PERCENTS:
            for _, value in self.points(way, ["trips-64"], lambda row: 0, f"p{percent}"):
                yield value, percent

    def by_number(self, way, kind, key, at_scale):
        yield from self.points(way, [f"{kind}-{n}" for n in rows.PEERS],
                               lambda row: int(row.name.split("-")[1]), key)
        yield from self.points(way, ["scale"], lambda row: row.amount, at_scale)


def plot(bench):
    plots = Plots(bench)
    plots.draw(THROUGHPUT, "throughput", 420,
               throughput=plots.lines("throughput", (*rows.BULK, "dtlsd-shared"), plots.throughput))
    plots.draw(LATENCY, "latency", 420, latency=plots.lines("latency", rows.TRIPS, plots.latency))
    plots.draw(CONNECTIONS, "connections", 700,
               cost=plots.lines("cost", rows.GNUTLS,
                                lambda way: plots.by_number(way, "peers", "server_us", "all_us")),
               memory=plots.lines("memory", rows.GNUTLS,
                                  lambda way: plots.by_number(way, "memory", "kib", "kib")))
