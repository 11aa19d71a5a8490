"""The HTTP face of the shop. Every response says in X-Version which version made it."""

import http.server
import json
import sys
import threading
import time
import traceback
import urllib.parse
import uuid

import psycopg2.errors

from shop import VERSION, catalogue, orders


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port, database):
        super().__init__(("127.0.0.1", port), Handler)
        self.database = database
        self.draining = False
        self._busy = 0
        self._idle = threading.Condition()

    def began(self):
        with self._idle:
            self._busy += 1

    def finished(self):
        with self._idle:
            self._busy -= 1
            self._idle.notify_all()

    def drain(self, seconds):
        """Accepts nothing new and waits until every request in flight has its answer."""
        self.draining = True
        self.shutdown()
        self.socket.close()
        deadline = time.monotonic() + seconds
        with self._idle:
            self._idle.wait_for(lambda: self._busy == 0, timeout=deadline - time.monotonic())

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 300  # seconds a connection may idle

    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._answer()

    def _answer(self):
        self.server.began()
        try:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                status, answer = self._route(body)
            except Exception:
                # For the developers: the traceback is the answer.
                trace = traceback.format_exc()
                sys.stderr.write(trace)
                status, answer = 500, trace
            self._send(status, answer)
        finally:
            self.server.finished()

    def _route(self, body):
        path = urllib.parse.urlsplit(self.path).path
        if (self.command, path) == ("GET", "/version"):
            return 200, {"version": VERSION}
        if (self.command, path) == ("GET", "/healthz"):
            return self._health()
        if (self.command, path) == ("GET", "/products"):
            with self.server.database.transaction() as cursor:
                return 200, catalogue.products(cursor)
        if (self.command, path) == ("POST", "/orders"):
            return self._place_order(body)
        if self.command == "GET" and path.startswith("/orders/"):
            return self._show_order(path.removeprefix("/orders/"))
        return 404, {"error": f"no {self.command} {path}"}

    def _health(self):
        try:
            with self.server.database.transaction() as cursor:
                cursor.execute("SELECT 1")
        except psycopg2.OperationalError:
            return 503, {"error": "the database does not answer"}
        return 200, {"status": "ok"}

    def _place_order(self, body):
        try:
            order = json.loads(body)
            number = str(uuid.UUID(order["id"]))
            wanted = {int(line["product"]): int(line["quantity"]) for line in order["lines"]}
            customer = str(order["customer"])
        except (ValueError, KeyError, TypeError):
            return 400, {"error": "an order is {id, customer, lines: [{product, quantity}]}"}
        try:
            with self.server.database.transaction() as cursor:
                return 201, orders.place(cursor, number, customer, wanted)
        except psycopg2.errors.UniqueViolation:
            return 409, {"error": f"order {number} exists"}

    def _show_order(self, text):
        try:
            number = str(uuid.UUID(text))
        except ValueError:
            return 404, {"error": f"no order {text}"}
        with self.server.database.transaction() as cursor:
            order = orders.find(cursor, number)
        return (200, order) if order else (404, {"error": f"no order {number}"})

    def _send(self, status, answer):
        kind = "text/plain; charset=utf-8" if isinstance(answer, str) else "application/json"
        body = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        self.send_response_only(status)
        self.send_header("Date", self.date_time_string())
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Version", VERSION)
        if self.server.draining:
            self.send_header("Connection", "close")
        # Head and body in one write: two would wait for the client's delayed acknowledgement.
        self._headers_buffer.append(b"\r\n" + body)
        self.flush_headers()
