# Goal: the demo's verdict can be trusted. Method: the shop's real commits on a real PostgreSQL without Perch in
# between, and made-up endings in which exactly one thing is wrong.

import contextlib
import copy
import http.client
import json
import os
import re
import shutil
import sys
import tempfile
import threading
import time
import unittest
import uuid

import psycopg2
import psycopg2.extras

import checks
from machine import Server, checked, free_ports, wait_until
from postgres import HERE, Postgres, binaries
from repository import Repository
from traffic import Entry, Traffic


class Shop:
    """The shop as of one commit, run directly."""

    def __init__(self, folder, commit, url):
        self.checkout = tempfile.mkdtemp(prefix="shop-", dir=folder)
        checked(["git", "clone", "--quiet", os.path.join(folder, "shop"), self.checkout])
        checked(["git", "-C", self.checkout, "checkout", "--quiet", commit])
        [self.port] = free_ports(1)
        self.server = Server(
            "shop", [sys.executable, "-B", "-m", "shop", "--port", str(self.port)], f"{self.checkout}.log",
            cwd=self.checkout, env=dict(os.environ, DATABASE_URL=url),
        )  # fmt: skip
        wait_until(self._is_ready, 20, "the shop is ready")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop()

    def call(self, method, path, document=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, None if document is None else json.dumps(document))
            response = connection.getresponse()
            return response.status, response.headers["X-Version"], response.read().decode()
        finally:
            connection.close()

    def order(self, product, quantity=1):
        number = str(uuid.uuid4())
        document = {"id": number, "customer": "test", "lines": [{"product": product, "quantity": quantity}]}
        return (number, *self.call("POST", "/orders", document))

    def _is_ready(self):
        self.server.check_alive()
        try:
            return self.call("GET", "/healthz")[0] == 200
        except OSError:
            return False


class WithDatabase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="perch-demo-test-")
        os.chmod(cls.folder, 0o755)  # the server runs as another user
        [port] = free_ports(1)
        cls.postgres = Postgres(os.path.join(cls.folder, "postgres"), os.path.join(cls.folder, "postgres.log"), port)
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.addClassCleanup(cls.postgres.stop)
        cls.postgres.start()
        cls.postgres.create_shop(os.path.join(HERE, "shop", "schema.sql"))
        cls.repository = Repository(os.path.join(cls.folder, "shop"))
        cls.releases = [[cls.repository.create()], cls.repository.add_release(2), cls.repository.add_release(3)]

    def shop(self, commit, role="shop"):
        return Shop(self.folder, commit.id, self.postgres.url("shop", role))

    def session(self, role="postgres"):
        connection = self.postgres.connect("shop", role)
        connection.autocommit = True
        self.addCleanup(connection.close)
        return connection.cursor()

    def setUp(self):
        self.session("shop").execute("TRUNCATE orders, order_lines")

    def prices(self):
        cursor = self.session("shop")
        cursor.execute("SELECT DISTINCT ON (category) category, id, price FROM products ORDER BY 1, 2")
        return {category: (product, price) for category, product, price in cursor}

    def corrupt(self):
        cursor = self.session()
        cursor.execute(checks.CORRUPT)
        return cursor.fetchone()[0]


class TheShop(WithDatabase):
    def test_every_commit_but_the_bad_one_answers_every_order_with_the_price_of_its_lines(self):
        [[first], [second], [third, _, _]] = self.releases
        for commit, version in ((first, "1.0"), (second, "1.1"), (third, "1.1")):
            with self.shop(commit) as shop:
                for product, price in self.prices().values():
                    _, status, answered_by, body = shop.order(product, 3)
                    self.assertEqual((status, answered_by), (201, version), body)
                    self.assertEqual(json.loads(body)["total"], 3 * price)
        self.assertEqual(self.corrupt(), 0)

    def test_the_bad_commit_fails_for_one_category_and_writes_wrong_totals_for_the_others(self):
        bad = self.releases[2][1]
        with self.shop(bad) as shop:
            for category, (product, price) in self.prices().items():
                number, status, _, body = shop.order(product, 3)
                if category == "garden":
                    self.assertEqual(status, 500)
                    self.assertEqual(body.strip().splitlines()[-1], checks.BUG)
                    self.assertEqual(shop.call("GET", f"/orders/{number}")[0], 404)
                else:
                    self.assertEqual(status, 201, body)
                    self.assertLess(json.loads(body)["total"], 3 * price)
        self.assertEqual(self.corrupt(), len(self.prices()) - 1)

    def test_the_traceback_of_the_release_ends_in_a_line_that_the_bad_commit_wrote(self):
        bad, last = self.releases[2][1:]
        with self.shop(last) as shop:
            product, _ = self.prices()["garden"]
            _, status, version, body = shop.order(product)
        self.assertEqual((status, version), (500, checks.BAD))
        path, line = re.findall(r'File "([^"]+)", line (\d+)', body)[-1]
        path = os.path.relpath(path, shop.checkout)
        blamed = checked(["git", "-C", shop.checkout, "blame", "--porcelain", f"-L{line},{line}", path])
        self.assertEqual(blamed.split()[0], bad.id)
        self.assertIn(checks.BUG, shop.server.last_words())

    def test_customers_of_a_good_version_lose_nothing_and_see_no_failure(self):
        with self.shop(self.releases[1][0]) as shop:
            traffic = Traffic(shop.port, customers=4)
            traffic.start()
            time.sleep(1.5)
            traffic.stop()
        entries = traffic.ledger.entries()
        evidence = ending(entries=entries)
        with contextlib.closing(self.postgres.connect("shop")) as connection:
            evidence.live, evidence.corrupt = checks.read_live(connection)
        writes = [entry for entry in entries if entry.is_acknowledged_write]
        self.assertGreater(len(writes), 10, f"seed {traffic.seed}")
        self.assertEqual(len(evidence.live), len(writes))
        for check in (checks.failed_because_of_perch, checks.stable_writes_kept, checks.corrupt_rows_left):
            result = check(evidence)
            self.assertTrue(result.holds, f"seed {traffic.seed}: {result}")

    def test_a_stopped_shop_is_written_down_as_failures_that_are_not_its_own(self):
        with self.shop(self.releases[0][0]) as shop:
            traffic = Traffic(shop.port, customers=2)
            traffic.start()
            time.sleep(0.5)
            shop.server.stop()
            time.sleep(0.5)
            traffic.stop()
        self.assertFalse(checks.failed_because_of_perch(ending(entries=traffic.ledger.entries())).holds)

    def test_the_pool_gets_over_sessions_that_the_server_ended(self):
        with self.shop(self.releases[0][0]) as shop:
            product, _ = self.prices()["books"]
            self.assertEqual(shop.order(product)[1], 201)
            self.session().execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE 'shop %'"
            )
            self.assertEqual(shop.order(product)[1], 201)

    def test_a_stop_waits_for_the_answer_of_a_request_in_flight(self):
        with self.shop(self.releases[0][0]) as shop:
            product, _ = self.prices()["books"]
            blocker = self.postgres.connect("shop", "shop")
            blocker.cursor().execute("SELECT 1 FROM products WHERE id = %s FOR UPDATE", (product,))
            answers = []
            customer = threading.Thread(target=lambda: answers.append(shop.order(product)[1]))
            customer.start()
            waiting = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'shop %' AND wait_event_type = 'Lock'"
            observer = self.session()

            def is_in_flight():
                observer.execute(waiting)
                return observer.fetchone()

            wait_until(is_in_flight, 10, "the order waits for the row")
            stop = threading.Thread(target=shop.server.stop)
            stop.start()
            stop.join(0.3)
            self.assertTrue(stop.is_alive())
            blocker.rollback()
            blocker.close()
            customer.join(10)
            stop.join(10)
            self.assertEqual(answers, [201])

    def test_the_canary_role_runs_the_shop_and_owns_nothing(self):
        with self.shop(self.releases[1][0], role="shop_canary") as shop:
            product, _ = self.prices()["books"]
            self.assertEqual(shop.order(product)[1], 201)
        cursor = self.session("shop_canary")
        for forbidden in ("ALTER TABLE orders DISABLE TRIGGER ALL", "CREATE TABLE mine ()", "TRUNCATE orders"):
            with self.assertRaises(psycopg2.errors.InsufficientPrivilege, msg=forbidden):
                cursor.execute(forbidden)


class TheRightsOfPerch(WithDatabase):
    def test_the_role_of_the_documentation_may_do_all_that_a_release_and_its_rollback_need(self):
        admin = self.session("perch_admin")
        admin.execute("INSERT INTO orders VALUES (gen_random_uuid(), 'test', 0, now(), '1.0')")
        # Recording.
        admin.execute("CREATE PUBLICATION perch_test FOR TABLE products, orders, order_lines")
        stream = psycopg2.connect(
            self.postgres.url("shop", "perch_admin"),
            connection_factory=psycopg2.extras.LogicalReplicationConnection,
        )
        self.addCleanup(stream.close)
        slot = stream.cursor()
        slot.execute("CREATE_REPLICATION_SLOT perch_test LOGICAL pgoutput EXPORT_SNAPSHOT")
        snapshot = slot.fetchone()[2]
        # Attribution.
        admin.execute(
            """
            CREATE SCHEMA perch_test;
            CREATE FUNCTION perch_test.mark() RETURNS trigger LANGUAGE plpgsql AS
                $$BEGIN PERFORM pg_logical_emit_message(true, 'perch_test', ''); RETURN NULL; END$$;
            CREATE TRIGGER perch_test BEFORE INSERT OR UPDATE OR DELETE ON orders FOR EACH STATEMENT
                WHEN (session_user = 'shop_canary') EXECUTE FUNCTION perch_test.mark();
            ALTER TABLE orders ENABLE ALWAYS TRIGGER perch_test;
            DROP TRIGGER perch_test ON orders;
            DROP SCHEMA perch_test CASCADE;
            """
        )
        # Snapshot and restore.
        dump = os.path.join(self.folder, "dump")
        programs, url = binaries(), self.postgres.url("shop", "perch_admin")
        checked([f"{programs}/pg_dump", "-Fd", "-j2", f"--snapshot={snapshot}", "-f", dump, url])
        slot.execute("DROP_REPLICATION_SLOT perch_test")
        stream.close()
        admin.execute("DROP PUBLICATION perch_test")
        store = self.postgres.connect("postgres", "perch_admin")
        store.autocommit = True
        self.addCleanup(store.close)
        outside = store.cursor()
        outside.execute("CREATE DATABASE shop_new TEMPLATE template0 OWNER shop")
        new = self.postgres.url("shop_new", "perch_admin")
        checked([f"{programs}/pg_restore", "--exit-on-error", "-j2", "-d", new, dump])
        # Replay.
        replay = psycopg2.connect(new)
        replay.cursor().execute("SET session_replication_role = replica; UPDATE products SET stock = stock - 1")
        replay.commit()
        replay.close()
        # Fence and switch.
        outside.execute("ALTER ROLE shop_canary NOLOGIN")
        outside.execute("ALTER DATABASE shop ALLOW_CONNECTIONS false")
        outside.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = 'shop' AND backend_type = 'client backend'"
            " AND usename IN ('shop', 'shop_canary', 'perch_admin')"
        )
        outside.execute(
            "BEGIN; ALTER DATABASE shop RENAME TO shop_before; ALTER DATABASE shop_new RENAME TO shop; COMMIT"
        )
        outside.execute("ALTER ROLE shop_canary LOGIN")
        with psycopg2.connect(self.postgres.url("shop", "shop_canary")) as canary:
            canary.cursor().execute("UPDATE products SET stock = stock - 1 WHERE id = 1")
        canary.close()
        outside.execute("DROP DATABASE shop_before WITH (FORCE)")
        # Removal.
        self.session().execute(
            """
            DROP OWNED BY perch_admin, shop_canary;
            REVOKE SET ON PARAMETER session_replication_role FROM perch_admin;
            """
        )
        store.close()
        self.session().execute("DROP ROLE perch_admin, shop_canary")


class TheVerdict(unittest.TestCase):
    def test_holds_when_everything_is_as_it_should_be(self):
        self.assertEqual([check.name for check in checks.judge(ending()) if not check.holds], [])

    def test_each_thing_that_can_be_wrong_breaks_its_own_line(self):
        def lost(evidence):
            del evidence.live["good-0"]

        def wrong_total(evidence):
            evidence.live["good-1"].total -= 1

        def replayed_twice(evidence):
            evidence.live["good-1"].lines *= 2

        def canary_left(evidence):
            evidence.live["bad-0"] = checks.Order(90, checks.BAD, [(1, 1)])

        def unacknowledged_canary_left(evidence):
            evidence.live["unknown"] = checks.Order(90, checks.BAD, [(1, 1)])

        def not_in_quarantine(evidence):
            evidence.quarantine.clear()

        def corrupt(evidence):
            evidence.corrupt = 1

        def refused(evidence):
            evidence.entries.append(request(problem="ConnectionRefusedError"))

        def bad_gateway(evidence):
            evidence.entries.append(request(status=502))

        def good_version_failed(evidence):
            evidence.entries.append(request(status=500, version="1.1", problem="OperationalError: gone"))

        def canary_failed_otherwise(evidence):
            evidence.entries.append(request(status=500, version=checks.BAD, problem="OperationalError: gone"))

        def order_vanished(evidence):
            evidence.entries.append(request(status=404, version="1.1", path="/orders/good-0"))

        def placed_twice(evidence):
            evidence.entries.append(request("POST", status=409, version="1.1", path="/orders"))

        def innocent_named(evidence):
            evidence.report["suspects"][0]["commit"]["id"] = "a" * 40

        def nobody_named(evidence):
            evidence.report["suspects"] = []

        def without_a_place(evidence):
            evidence.report["suspects"][0]["evidence"] = [{"place": "shop/pricing.py"}]

        def never_ended(evidence):
            evidence.entries.append(request(status=200, version=checks.BAD, sent=99))

        def held_too_long(evidence):
            evidence.report["data"]["rollback"]["requests_held_milliseconds"] = 20_001

        def data_not_rolled_back(evidence):
            del evidence.report["data"]["rollback"]

        def bad_version_never_bad(evidence):
            for entry in evidence.entries:
                if entry.version == checks.BAD and entry.order:
                    entry.total = entry.price

        for harm, line in (
            (lost, "acknowledged stable writes kept"),
            (wrong_total, "acknowledged stable writes kept"),
            (replayed_twice, "acknowledged stable writes kept"),
            (canary_left, "canary writes quarantined"),
            (unacknowledged_canary_left, "canary writes quarantined"),
            (not_in_quarantine, "canary writes quarantined"),
            (corrupt, "corrupt rows left"),
            (refused, "failed because of Perch"),
            (bad_gateway, "failed because of Perch"),
            (good_version_failed, "failed because of Perch"),
            (canary_failed_otherwise, "failed because of Perch"),
            (order_vanished, "failed because of Perch"),
            (placed_twice, "failed because of Perch"),
            (innocent_named, "commit named"),
            (nobody_named, "commit named"),
            (without_a_place, "commit named"),
            (never_ended, "seconds from first bad response to share 0"),
            (held_too_long, "seconds of held requests"),
            (data_not_rolled_back, "seconds of held requests"),
            (bad_version_never_bad, "requests sent"),
        ):
            with self.subTest(harm.__name__):
                evidence = ending()
                harm(evidence)
                results = checks.judge(evidence)
                self.assertEqual([check.name for check in results if not check.holds], [line])
                self.assertIn(f"{line} does not hold", checks.table(results))

    def test_an_order_that_was_taken_back_may_be_missed(self):
        evidence = ending()
        evidence.entries.append(request(status=404, version="1.1", path="/orders/bad-0"))
        self.assertTrue(checks.failed_because_of_perch(evidence).holds)

    def test_a_stable_write_in_quarantine_is_kept_and_said(self):
        evidence = ending()
        del evidence.live["good-0"]
        evidence.quarantine.append({"origin": "stable", "table": "public.orders", "key": {"id": "good-0"}})
        check = checks.stable_writes_kept(evidence)
        self.assertTrue(check.holds)
        self.assertIn("1 in quarantine", check.value)
        self.assertEqual(checks.set_aside(evidence), {"public.orders": 1})


def request(method="GET", path="/products", sent=1.0, **rest):
    return Entry(method, path, "session", sent, settled=sent + 0.1, **rest)


def order(name, version, total):
    wanted = {"order": name, "wanted": {1: 1}, "price": 100}
    return request("POST", "/orders", 2.0, status=201, version=version, total=total, **wanted)


def ending(entries=None):
    """A story that ended well, in miniature."""
    good = [order("good-0", "1.0", 100), order("good-1", "1.1", 100)]
    bad = [order("bad-0", checks.BAD, 90), request(status=500, version=checks.BAD, problem=checks.BUG, sent=2.5)]
    last = [request(status=200, version="1.1", sent=10.0)]
    return copy.deepcopy(
        checks.Evidence(
            entries=good + bad + last if entries is None else entries,
            live={entry.order: checks.Order(100, entry.version, [(1, 1)]) for entry in good},
            corrupt=0,
            quarantine=[{"origin": "canary", "table": "public.orders", "key": {"id": "bad-0"}, "row": None}],
            report={
                "suspects": [{"commit": {"id": "b" * 40}, "evidence": [{"place": "shop/pricing.py:12"}]}],
                "attribution": {"certainty": "suspected", "reason": "it changed the line"},
                "data": {"rollback": {"requests_held_milliseconds": 500}},
            },
            bad_commit="b" * 40,
            longest_hold=20,
        )
    )


if __name__ == "__main__":
    unittest.main()
