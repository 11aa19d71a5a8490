"""Customers: threads that list products, place orders and look at them, and write down everything they are told.

The ledger is the demo's own truth. It knows of Perch only the address it calls.
"""

import dataclasses
import http.client
import json
import random
import threading
import time
import uuid

SESSIONS = 100  # of one customer thread
FRESH = 0.2  # of the requests open a connection of their own
TIMEOUT_SECONDS = 30


@dataclasses.dataclass(slots=True)
class Entry:
    """One request and what became of it. Moments are seconds of the monotonic clock."""

    method: str
    path: str
    session: str
    sent: float
    settled: float = 0.0
    # None: no complete answer came.
    status: int | None = None
    # X-Version of the answer: only the service sets it.
    version: str | None = None
    # Why there was no answer, or the last line of a 5xx answer.
    problem: str = ""
    # Of an order: its id, what was ordered (product -> quantity), what that costs, what the answer says it costs.
    order: str | None = None
    wanted: dict | None = None
    price: int | None = None
    total: int | None = None

    @property
    def is_acknowledged_write(self):
        return self.order is not None and self.method == "POST" and self.status == 201

    @property
    def is_bad(self):
        """As a customer sees it: an error, or a wrong total."""
        return self.status is None or self.status >= 500 or (self.is_acknowledged_write and self.total != self.price)


class Ledger:
    def __init__(self):
        self._lock = threading.Lock()
        self._entries = []

    def add(self, entry):
        with self._lock:
            self._entries.append(entry)

    def entries(self):
        with self._lock:
            return list(self._entries)

    def write(self, path):
        """One JSON object a request, in the order in which they settled."""
        with open(path, "w") as file:
            for entry in self.entries():
                file.write(json.dumps(dataclasses.asdict(entry)) + "\n")


class Traffic:
    """Several customers at once until stopped."""

    def __init__(self, port, customers=8, seed=None):
        self.ledger = Ledger()
        self.seed = seed if seed is not None else random.randrange(1 << 32)
        self._stop = threading.Event()
        prices = _prices(port)
        crowd = [_Customer(port, prices, self.ledger, f"{self.seed}-{number}") for number in range(customers)]
        self._threads = [threading.Thread(target=customer.run, args=[self._stop]) for customer in crowd]

    def start(self):
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    def stop(self):
        """Returns once every request in flight has settled."""
        self._stop.set()
        for thread in self._threads:
            thread.join(TIMEOUT_SECONDS + 5)


def _prices(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    connection.request("GET", "/products")
    products = json.load(connection.getresponse())
    connection.close()
    return {product["id"]: product["price"] for product in products}


class _Customer:
    def __init__(self, port, prices, ledger, name):
        self._port = port
        self._prices = prices
        self._ledger = ledger
        self._name = name
        self._random = random.Random(name)
        self._kept = None
        self._placed = []

    def run(self, stop):
        while not stop.is_set():
            self._step()
            stop.wait(self._random.uniform(0.03, 0.11))
        if self._kept:
            self._kept.close()

    def _step(self):
        session = f"{self._name}-{self._random.randrange(SESSIONS)}"
        choice = self._random.random()
        if choice < 0.55:
            self._place_order(session)
        elif choice < 0.80 and self._placed:
            self._send(Entry("GET", f"/orders/{self._random.choice(self._placed)}", session, time.monotonic()))
        else:
            self._send(Entry("GET", "/products", session, time.monotonic()))

    def _place_order(self, session):
        products = self._random.sample(sorted(self._prices), self._random.randint(1, 3))
        wanted = {product: self._random.randint(1, 5) for product in products}
        entry = Entry("POST", "/orders", session, time.monotonic())
        entry.order = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        entry.wanted = wanted
        entry.price = sum(quantity * self._prices[product] for product, quantity in wanted.items())
        lines = [{"product": product, "quantity": quantity} for product, quantity in wanted.items()]
        self._send(entry, {"id": entry.order, "customer": session, "lines": lines})
        if entry.is_acknowledged_write:
            self._placed.append(entry.order)

    def _send(self, entry, document=None):
        fresh = self._random.random() < FRESH
        connection = self._connection(fresh)
        headers = {"Cookie": f"theme=dark; session={entry.session}"}
        body = None
        if document is not None:
            body = json.dumps(document)
            headers["Content-Type"] = "application/json"
        try:
            connection.request(entry.method, entry.path, body, headers)
            response = connection.getresponse()
            self._settle(entry, response, response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            entry.problem = f"{type(error).__name__}: {error}"
            connection.close()
            if not fresh:
                self._kept = None
        finally:
            if fresh:
                connection.close()
        entry.settled = time.monotonic()
        self._ledger.add(entry)

    def _connection(self, fresh):
        if fresh:
            return http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_SECONDS)
        if self._kept is None:
            self._kept = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_SECONDS)
        return self._kept

    def _settle(self, entry, response, body):
        entry.status = response.status
        entry.version = response.headers.get("X-Version")
        if response.status >= 500:
            text = body.decode(errors="replace").strip()
            entry.problem = text.splitlines()[-1] if text else ""
        elif entry.order is not None and response.status == 201:
            entry.total = json.loads(body)["total"]
