# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the ways of each row, round by round, and keeps what they print.

Every way to speak DTLS runs the same loop, one after the other and then again, so that what the
machine does meanwhile meets all of them alike.
"""

import os
import pathlib
import signal
import subprocess
import sys

import rows

TRIES = 3
FAILED = "it failed"


def run_bounded(command, row, more):
    """Status, and what was printed and said. What takes longer is ended, with all it has started."""
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             start_new_session=True,
                             env={**os.environ, "BENCH_RULES": row.rules, **more})
    try:
        printed, said = child.communicate(timeout=row.limit)
        return child.returncode, printed, said
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGTERM)
        child.communicate()
        return None, "", f"not done within {row.limit} s"


class Bench:
    def __init__(self, arguments):
        self.programs = pathlib.Path(arguments.programs)
        self.output = pathlib.Path(arguments.output)
        self.output.mkdir(parents=True, exist_ok=True)
        self.n_rounds = 1 if arguments.short else arguments.rounds
        self.is_short = arguments.short
        self.rows = [row for row in rows.rows() if (not arguments.rows or row.name in arguments.rows)
                     and (os.geteuid() == 0 or not row.veth) and (row.short or not self.is_short)]
        self.left_out = {}
        self.failures = []  # of what was tried again

    def program(self, way):
        if way in rows.FAIR + rows.FLOODS:
            way = "dtlsd"
        return self.programs / ("bench-" + way.split("-")[0])

    def run_one(self, row, way):
        """A dictionary of figures for each line it prints. None: it is not there, or failed, which
        is said."""
        program, argument = self.program(way), row.argument
        if not program.exists():
            self.left_out[way] = "it was not built: its library is not installed"
            return []
        amount = row.amount * (row.short if self.is_short else 1)
        if way in rows.APPS:
            way, n = way.rsplit("-", 1)
            argument += str(10 * int(n))
        more = {}
        if way.endswith(rows.RECORDS):
            way = way.removesuffix(rows.RECORDS)
            more = {"BENCH_ENDS": "CLIENT SERVER", "BENCH_MORE_CONFIG": "[Records]\nDirectAfter=0\n"}
        command = [program, way, row.loop, argument, f"{max(amount, 0.05):.3f}"]
        if row.loop == "fair":
            command = [pathlib.Path(__file__).parent / "fair", self.programs, way, f"{amount:.3f}"]
        is_of_service = row.loop == "fair" or way.split("-")[0] in ("dtlsd", "service")
        if (row.fresh or row.rules or more) and is_of_service:
            command = [*os.environ["BENCH_FRESH"].split(), *command]
        if row.veth:
            command = [*os.environ["BENCH_VETH"].split(), *command]
        for _ in range(TRIES):
            status, printed, said = run_bounded(command, row, more)
            if status == 0:
                return [self.figures(row, line) for line in printed.splitlines()]
            self.failures.append((f"{way} {row.name}", said.strip() or f"status {status}"))
        self.left_out[f"{way} {row.name}"] = FAILED
        return []

    @staticmethod
    def figures(row, line):
        figures = {key: float(value) for key, value in
                   (word.split("=", 1) for word in line.split())}
        if row.loop == "memory":
            figures["kib"] = figures["processes_kib"] + figures["kernel_kib"]
        if row.key == "kib" and row.loop == "fair":
            figures["kib"] = figures["more_kib"] / figures["half_open"]
        if row.loop == "apps":
            figures["all_us"] = figures["client_us"] + figures["server_us"]
        if row.loop == "bulk":
            figures["per_cpu"] = 1e6 / (figures["client_us"] + figures["server_us"])
        return figures

    def run(self):
        pin_services()
        with open(self.output / "raw.txt", "w") as raw:
            for number in range(self.n_rounds):
                for row in self.rows:
                    if number == 0 or not row.once:
                        self.run_row(row, raw)
                print(f"round {number + 1} of {self.n_rounds} is done", file=sys.stderr)

    def run_row(self, row, raw):
        first = len(row.rounds)
        for way in row.ways:
            for number, figures in enumerate(self.run_one(row, way), first):
                if number == len(row.rounds):
                    row.rounds.append({})
                row.rounds[number][way] = figures
                words = " ".join(f"{k}={v:g}" for k, v in figures.items())
                print(f"round={number} row={row.name} way={way} {words}", file=raw, flush=True)


def pin_services():
    for variable in ("BENCH_CLIENT_PIDS", "BENCH_SERVER_PIDS"):
        for pid in os.environ.get(variable, "").split():
            os.sched_setaffinity(int(pid), {0})
