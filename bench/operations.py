"""make bench: what releasing costs, measured on this machine with real parts. Prints one table.

  webhook            signed POST /hooks/shop to its 202, after the release is durable
  verdict            from the failing verdict being recorded to the router's confirmation of share 0
  recovery           kill -9 of perchd in a canary to the next one leading and ready
  memory             resident memory of perchd and of the router, idle
  recording          pgbench transactions/s with and without a recording, in turn, as a ratio
"""

import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from datetime import datetime

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "demo"))

import keeper  # noqa: E402
from machine import Failed, checked, free_ports, wait_until  # noqa: E402
from perch import Perch  # noqa: E402
from postgres import Postgres, binaries  # noqa: E402
from repository import Repository  # noqa: E402
from traffic import Traffic  # noqa: E402

FOLDER = os.path.join(ROOT, ".demo")
WEBHOOKS = 60
PAIRS = 7
PGBENCH_SECONDS = 15


class Bench:
    def __init__(self):
        logs = os.path.join(FOLDER, "logs")
        os.makedirs(logs)
        postgres_port, api_port, shop_port = free_ports(3)
        self.postgres = Postgres(os.path.join(FOLDER, "postgres"), os.path.join(logs, "postgres.log"), postgres_port)
        self.repository = Repository(os.path.join(FOLDER, "shop"))
        self.perch = Perch(FOLDER, logs, self.postgres, self.repository.folder, api_port, shop_port)
        self.rows = []

    def run(self):
        self.postgres.start()
        self.postgres.create_shop(os.path.join(ROOT, "demo", "shop", "schema.sql"))
        first = self.repository.create()
        self.good = self.repository.add_release(2)[-1]
        self.bad = self.repository.add_release(3)[-1]
        self._pgbench_tables()
        self.perch.start()
        self._end(self.perch.trigger(first.id, "bench-first"), "promoted")
        self._memory()
        self._verdict()
        self._recovery_and_recording()
        self._webhooks(first)
        return self.rows

    def stop(self):
        self.perch.stop()
        self.postgres.stop()

    def _row(self, name, value, how):
        self.rows.append((name, value, how))
        print(f"  {name}: {value}", flush=True)

    def _end(self, release, *phases, seconds=180):
        def question():
            self.perch.check_alive()
            summary = self.perch.show(release)["summary"]
            if summary["is_terminal"] and summary["phase"] not in phases:
                raise Failed(f"{release} ended: {summary['message']}")
            return summary["phase"] in phases and (summary["is_terminal"] or phases[0] == "waiting")

        wait_until(question, seconds, f"{release} is {' or '.join(phases)}")

    def _memory(self):
        time.sleep(5)
        daemon = self.perch._server.pid
        router = self._router()
        self._row("idle memory of perchd", f"{_resident(daemon):.0f} MiB", "VmRSS, 5 s after a release")
        self._row("idle memory of the router", f"{_resident(router):.0f} MiB", "VmRSS")

    def _router(self):
        """The process that perchd started as the shop's router."""
        program = os.path.realpath(os.path.join(self.perch.binaries, "perchd"))
        for name in filter(str.isdigit, os.listdir("/proc")):
            if _command(name)[1:2] == [b"router"] and os.path.realpath(f"/proc/{name}/exe") == program:
                return int(name)
        raise Failed("the router does not run")

    def _verdict(self):
        traffic = Traffic(self.perch.shop_port, seed=1)
        traffic.start()
        spans = []
        try:
            for number in range(3):
                release = self.perch.trigger(self.bad.id, f"bench-bad-{number}")
                self._end(release, "rolled-back")
                events = self.perch.show(release)["events"]
                failed = next(event for event in events if event["text"].startswith("failed: "))
                zero = next(
                    event for event in events
                    if event["sequence"] > failed["sequence"] and event["text"].startswith("router sends everybody")
                )  # fmt: skip
                spans.append((_moment(zero) - _moment(failed)) * 1000)
        finally:
            traffic.stop()
        self._row("verdict to share 0", f"{_spread(spans, 'ms')}", f"facts of {len(spans)} rolled back releases")

    def _recovery_and_recording(self):
        policy = os.path.join(FOLDER, "policies", "shop.yaml")
        with open(policy) as file:
            text = file.read()
        waiting = re.sub(r"  steps:\n(    - .*\n)+", "  steps:\n    - {approve: true}\n    - {share: 10%, for: 5s}\n", text)
        with open(policy, "w") as file:
            file.write(waiting)
        self.perch.stop()
        self.perch.start()
        ratios, plain, recorded = [], [], []
        self._pgbench()  # warms up
        for _ in range(PAIRS):
            plain.append(self._pgbench())
            release = self.perch.trigger(self.good.id, f"bench-{len(plain)}")
            self._end(release, "waiting")
            recorded.append(self._pgbench())
            if len(plain) == PAIRS:
                self._recovery()
            self.perch.cli("abort", release)
            self._end(release, "aborted")
            ratios.append(recorded[-1] / plain[-1])
        self._row(
            "pgbench while recording", f"{statistics.median(ratios):.2f} of the rate without"
            f" ({min(ratios):.2f}-{max(ratios):.2f})",
            f"{PAIRS} pairs of {PGBENCH_SECONDS} s, 4 clients, median {statistics.median(plain):.0f} transactions/s without",
        )  # fmt: skip

    def _recovery(self):
        spans = []
        for _ in range(5):
            os.kill(self.perch._server.pid, signal.SIGKILL)
            start = time.monotonic()
            self.perch.start()
            spans.append((time.monotonic() - start) * 1000)
        self._row("recovery after kill -9", _spread(spans, "ms"), "start of the next perchd to ready, 5 kills")

    def _webhooks(self, commit):
        # The limit of one caller is 60 a minute with bursts of 30: waits it out instead of measuring refusals.
        time.sleep(60)
        spans = []
        for number in range(WEBHOOKS):
            if number >= 25:
                time.sleep(1.05)
            start = time.monotonic()
            self.perch.trigger(commit.id, f"bench-hook-{number}")
            spans.append((time.monotonic() - start) * 1000)
        cuts = statistics.quantiles(spans, n=100, method="inclusive")
        self._row("webhook answer", f"p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms", f"{WEBHOOKS} accepted releases")

    def _pgbench_tables(self):
        program = os.path.join(binaries(), "pgbench")
        checked([program, "-i", "-q", "-s", "5", self.postgres.url("shop", "shop")])
        with self.postgres.connect("shop", "shop") as connection, connection.cursor() as cursor:
            cursor.execute("ALTER TABLE pgbench_history REPLICA IDENTITY FULL")

    def _pgbench(self):
        program = os.path.join(binaries(), "pgbench")
        printed = checked(
            [program, "-n", "-c", "4", "-j", "1", "-T", str(PGBENCH_SECONDS), self.postgres.url("shop", "shop")]
        )
        return float(re.search(r"tps = ([0-9.]+)", printed).group(1))


def _moment(event):
    return datetime.fromisoformat(event["at"]).timestamp()


def _spread(values, unit):
    return f"median {statistics.median(values):.0f} {unit} ({min(values):.0f}-{max(values):.0f})"


def _command(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().split(b"\0")
    except FileNotFoundError:
        return []


def _resident(pid):
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read()).group(1)) / 1024


def tell():
    bench, code = Bench(), 1
    try:
        rows = bench.run()
        print("\n| figure | measured | how |\n|---|---|---|")
        for row in rows:
            print("| " + " | ".join(row) + " |")
        code = 0
    except Failed as failure:
        print(f"bench: {failure}", file=sys.stderr)
    finally:
        bench.stop()
    return code


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    code = keeper.supervise(tell)
    if code == 0:
        shutil.rmtree(FOLDER, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
