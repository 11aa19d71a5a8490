"""make demo: a release that is promoted and a release that is rolled back, on a real PostgreSQL under real traffic.

Exit code 0 only if every line of the table at the end holds. KEEP=1 leaves all of it running until Ctrl-C.
"""

import os
import shutil
import signal
import sys
import threading
import time
from datetime import datetime

import checks
import keeper
from machine import Failed, free_ports
from perch import ROOT, Perch
from postgres import Postgres
from repository import Repository
from traffic import Traffic

FOLDER = os.path.join(ROOT, ".demo")
LOGS = os.path.join(FOLDER, "logs")
LONGEST_HOLD_SECONDS = 20  # settings/shop.yaml: database.rollback.freeze


class Story:
    """Says what happens, with the seconds since the start."""

    def __init__(self):
        self._start = time.time()

    def say(self, text, at=None):
        seconds = (at or time.time()) - self._start
        print(f"{seconds:7.1f} s  {text}", flush=True)

    def chapter(self, title):
        print(f"\n{title}\n", flush=True)


class Demo:
    def __init__(self):
        self.story = Story()
        postgres_port, api_port, shop_port = free_ports(3)
        self.postgres = Postgres(os.path.join(FOLDER, "postgres"), os.path.join(LOGS, "postgres.log"), postgres_port)
        self.repository = Repository(os.path.join(FOLDER, "shop"))
        self.perch = Perch(FOLDER, LOGS, self.postgres, self.repository.folder, api_port, shop_port)
        self.traffic = None

    def run(self):
        """Returns what is known at the end."""
        say, chapter = self.story.say, self.story.chapter
        chapter("A shop, its database and Perch")
        version = self.postgres.start()
        self.postgres.create_shop(os.path.join(ROOT, "demo", "shop", "schema.sql"))
        say(f"PostgreSQL {version} runs on port {self.postgres.port}")
        first = self.repository.create()
        say(f"commit {first.id[:10]} is shop 1.0: {first.subject}")
        self.perch.start()
        say(f"perchd is ready, its log is {os.path.relpath(LOGS)}/perchd.log")

        chapter("Release 1: the first version starts")
        self._release(first.id, "ci-1", ends="promoted")
        self.traffic = Traffic(self.perch.shop_port)
        self.traffic.start()
        say(f"customers shop at http://127.0.0.1:{self.perch.shop_port} from now on (seed {self.traffic.seed})")
        time.sleep(2)

        chapter("Release 2: a good commit")
        commits = self._commit(2)
        self._release(commits[-1].id, "ci-2", ends="promoted")
        time.sleep(1)

        chapter("Release 3: three commits, one of them bad")
        commits = self._commit(3)
        bad = commits[1]
        release = self._release(commits[-1].id, "ci-3", ends="rolled-back")
        time.sleep(3)  # customers go on shopping on what the rollback left
        return self._evidence(release, bad.id)

    def stop(self):
        """In the order in which each is needed; the keeper ends the router and the instances."""
        if self.traffic:
            self.traffic.stop()
        self.perch.stop()
        self.postgres.stop()

    def go_on(self):
        """Customers come back, and a person can look around."""
        self.traffic = Traffic(self.perch.shop_port)
        self.traffic.start()
        shop = f"http://127.0.0.1:{self.perch.shop_port}"
        psql = f"psql {self.postgres.url('shop', 'shop')}"
        perch = os.path.join(os.path.relpath(self.perch.binaries, ROOT), "perch")
        print(f"""
Everything goes on until Ctrl-C. From another terminal, in {ROOT}:

  export PERCH_SERVER={self.perch.server}
  {perch} status
  {perch} show shop-3
  {perch} report shop-3
  {perch} quarantine list shop-3
  curl -i {shop}/version
  {psql} -c 'SELECT placed_by, count(*), sum(total) FROM orders GROUP BY 1'
  tail -f {os.path.relpath(LOGS, ROOT)}/*.log
""", flush=True)

    def _commit(self, number):
        commits = self.repository.add_release(number)
        for commit in commits:
            self.story.say(f"commit {commit.id[:10]} by {commit.author}: {commit.subject}")
        return commits

    def _release(self, commit, build, ends):
        """Triggers a release and tells its events until it has ended. Returns its id."""
        release = self.perch.trigger(commit, build)
        told, deadline = 0, time.monotonic() + 180
        while True:
            self.perch.check_alive()
            detail = self.perch.show(release)
            for event in detail["events"]:
                if event["sequence"] > told:
                    told = event["sequence"]
                    self.story.say(f"{release}: {event['text']}", datetime.fromisoformat(event["at"]).timestamp())
            summary = detail["summary"]
            if summary["is_terminal"]:
                break
            if time.monotonic() > deadline:
                raise Failed(f"{release} is still {summary['phase']} after 180 s")
            time.sleep(0.4)
        if summary["phase"] != ends:
            raise Failed(f"{release} should have ended {ends}, but: {summary['message']}")
        return release

    def _evidence(self, release, bad_commit):
        # Looked at between two requests of every customer, not in the middle of one.
        self.traffic.stop()
        entries = self.traffic.ledger.entries()
        self.traffic.ledger.write(os.path.join(FOLDER, "ledger.jsonl"))
        connection = self.postgres.connect("shop")
        try:
            live, corrupt = checks.read_live(connection)
        finally:
            connection.close()
        return checks.Evidence(
            entries, live, corrupt, self.perch.quarantine(release), self.perch.report(release), bad_commit,
            LONGEST_HOLD_SECONDS,
        )  # fmt: skip


def tell():
    """The whole demo; returns its exit code."""
    stop_asked = threading.Event()

    def interrupted(*_):
        # Once: what follows is the orderly end, which a second Ctrl-C shall not cut short.
        if not stop_asked.is_set():
            stop_asked.set()
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGTERM, interrupted)
    demo, code = None, 1
    try:
        os.makedirs(LOGS)
        demo = Demo()
        evidence = demo.run()
        results = checks.judge(evidence)
        print(f"\n{checks.table(results)}\n", flush=True)
        for table, count in checks.set_aside(evidence).items():
            print(f"  {count} changes of {table} by stable wait in quarantine: the canary had written the same rows.")
        code = 0 if all(check.holds for check in results) else 1
        if os.environ.get("KEEP", "0") != "0":
            demo.go_on()
            signal.pause()
    except Failed as failure:
        print(f"\ndemo: {failure}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        if code != 0:
            code = 130
        print("\nstopping", flush=True)
    finally:
        stop_asked.set()
        if demo:
            demo.stop()
    return code


def main():
    if os.path.exists(FOLDER):
        if still_runs():
            print("demo: another demo runs in .demo\nhint: stop it with Ctrl-C in its terminal", file=sys.stderr)
            return 1
        shutil.rmtree(FOLDER)
    code = keeper.supervise(tell)
    if code == 0 or code == 130:
        shutil.rmtree(FOLDER, ignore_errors=True)
    elif os.path.exists(LOGS):
        print(f"demo: logs and the ledger are in {os.path.relpath(FOLDER)}, until the next run", file=sys.stderr)
    return code


def still_runs():
    """Whether the PostgreSQL of an earlier demo lives: its first line of postmaster.pid is its process."""
    try:
        with open(os.path.join(FOLDER, "postgres", "postmaster.pid")) as file:
            pid = int(file.readline())
        return os.path.realpath(f"/proc/{pid}/cwd") == os.path.join(FOLDER, "postgres")
    except (FileNotFoundError, ValueError):
        return False


if __name__ == "__main__":
    sys.exit(main())
