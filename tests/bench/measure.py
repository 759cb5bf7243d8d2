# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the ways of each row, round by round, and keeps what they print.

Every way to speak DTLS runs the same loop, one after the other and then again, so that what the
machine does meanwhile meets all of them alike.
"""

import os
import pathlib
import subprocess
import sys

import rows

# A client of GnuTLS's waits for ever in one handshake of some ten thousand, whoever is its server.
TRIES = 3


class Bench:
    def __init__(self, arguments):
        self.programs = pathlib.Path(arguments.programs)
        self.output = pathlib.Path(arguments.output)
        self.output.mkdir(parents=True, exist_ok=True)
        self.n_rounds = 1 if arguments.short else arguments.rounds
        self.scale = 0.1 if arguments.short else 1.0
        self.rows = [row for row in rows.rows() if not arguments.rows or row.name in arguments.rows]
        self.left_out = {}
        self.failures = []  # of what was tried again

    def program(self, way):
        if way in rows.FAIR:
            way = "dtlsd"
        return self.programs / ("bench-" + way.split("-")[0])

    def run_one(self, row, way):
        """A dictionary of figures, or None: the way is not there, or failed, and it is said."""
        program = self.program(way)
        if not program.exists():
            self.left_out[way] = "it was not built: its library is not installed"
            return None
        amount = row.amount * self.scale
        command = [program, way, row.loop, row.argument, f"{max(amount, 0.05):.3f}"]
        if row.loop == "fair":
            command = [pathlib.Path(__file__).parent / "fair", self.programs, way, f"{amount:.3f}"]
        if (row.loop == "memory" or row.rules) and way.startswith("dtlsd"):
            # with rules of its own; what earlier connections have left behind would be taken for
            # the new ones
            command = [*os.environ["BENCH_FRESH"].split(), *command]
        for _ in range(TRIES):
            found = subprocess.run(command, capture_output=True, text=True, timeout=120,
                                   env={**os.environ, "BENCH_RULES": row.rules})
            if found.returncode == 0:
                break
            self.failures.append((f"{way} {row.name}",
                                  found.stderr.strip() or f"status {found.returncode}"))
        if found.returncode != 0:
            self.left_out[f"{way} {row.name}"] = "it failed"
            return None
        figures = {key: float(value) for key, value in
                   (word.split("=", 1) for word in found.stdout.split())}
        if row.loop == "memory":
            figures["kib"] = figures["processes_kib"] + figures["kernel_kib"]
        if row.loop == "bulk":
            figures["per_cpu"] = 1e6 / (figures["client_us"] + figures["server_us"])
        return figures

    def run(self):
        pin_services()
        with open(self.output / "raw.txt", "w") as raw:
            for number in range(self.n_rounds):
                for row in self.rows:
                    found = {}
                    for way in row.ways:
                        figures = self.run_one(row, way)
                        if figures:
                            found[way] = figures
                            words = " ".join(f"{k}={v:g}" for k, v in figures.items())
                            print(f"round={number} row={row.name} way={way} {words}", file=raw)
                    row.rounds.append(found)
                print(f"round {number + 1} of {self.n_rounds} is done", file=sys.stderr)


def pin_services():
    for variable in ("BENCH_CLIENT_PIDS", "BENCH_SERVER_PIDS"):
        for pid in os.environ.get(variable, "").split():
            os.sched_setaffinity(int(pid), {0})
