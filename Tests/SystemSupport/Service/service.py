"""The service under test: every POST writes one entry in three tables. service.py PORT, with DATABASE_URL."""

import contextlib
import http.server
import json
import os
import select
import signal
import sys
import threading
import time
import traceback

import psycopg2

import release

DRAIN_SECONDS = 5


class Database:
    """A bounded pool of sessions; one that the server has ended is replaced before it is used."""

    def __init__(self, url, most=6):
        self._url = url
        self._permits = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._idle = []

    @contextlib.contextmanager
    def transaction(self):
        with self._permits:
            connection = self._take()
            try:
                with connection, connection.cursor() as cursor:
                    yield cursor
            finally:
                if not connection.closed:
                    with self._lock:
                        self._idle.append(connection)

    def _take(self):
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                return psycopg2.connect(self._url, application_name="shop " + release.VERSION, connect_timeout=5)
            if not select.select([connection], [], [], 0)[0]:
                return connection
            connection.close()


def write(database, entry):
    """The same entry as a row with a sequence, a row without a key, and the newest of its session."""
    value = release.stored(entry["value"])
    with database.transaction() as cursor:
        cursor.execute(
            "INSERT INTO entries (id, session, value, version) VALUES (%s, %s, %s, %s)",
            (entry["id"], entry["session"], value, release.VERSION),
        )
        cursor.execute("INSERT INTO lines (entry, version) VALUES (%s, %s)", (entry["id"], release.VERSION))
        cursor.execute(
            "INSERT INTO accounts (session, last, version) VALUES (%s, %s, %s)"
            " ON CONFLICT (session) DO UPDATE SET last = excluded.last, version = excluded.version",
            (entry["session"], entry["id"], release.VERSION),
        )
    release.confirm(entry["value"])
    return {"id": entry["id"], "value": value}


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port, database):
        super().__init__(("127.0.0.1", port), Handler)
        self.database = database
        self.draining = False
        self._busy = 0
        self._idle = threading.Condition()

    @contextlib.contextmanager
    def answering(self):
        with self._idle:
            self._busy += 1
        try:
            yield
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def drain(self):
        self.draining = True
        self.shutdown()
        self.socket.close()
        with self._idle:
            self._idle.wait_for(lambda: self._busy == 0, timeout=DRAIN_SECONDS)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._answer()

    def _answer(self):
        with self.server.answering():
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                status, answer = self._route(body)
            except Exception:
                status, answer = 500, traceback.format_exc()
                sys.stderr.write(answer)
                sys.stderr.flush()
            self._send(status, answer)

    def _route(self, body):
        if self.path != "/healthz":
            release.meet()
        if self.command == "POST" and self.path == "/entries":
            return 201, write(self.server.database, json.loads(body))
        if self.path == "/healthz":
            with self.server.database.transaction() as cursor:
                cursor.execute("SELECT 1")
            return (200, {}) if release.is_ready() else (503, {"error": release.VERSION + " is not ready"})
        if self.path.startswith("/wait/"):
            time.sleep(float(self.path.removeprefix("/wait/")))
        return 200, {"version": release.VERSION}

    def _send(self, status, answer):
        body = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Version", release.VERSION)
        self.send_header("X-Instance", os.environ.get("PERCH_INSTANCE", ""))
        if self.server.draining:
            self.send_header("Connection", "close")
        self._headers_buffer.append(b"\r\n" + body)
        self.flush_headers()

    def log_message(self, *_):
        pass


def main():
    release.start()
    server = Server(int(sys.argv[1]), Database(os.environ["DATABASE_URL"]))
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    print("shop", release.VERSION, "listens on", sys.argv[1], flush=True)
    ended.wait()
    server.drain()


main()
