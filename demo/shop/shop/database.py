"""A bounded pool of database connections that gets over a restarted, moved or renamed database."""

import contextlib
import select
import threading

import psycopg2


class Database:
    def __init__(self, url, name, most=8):
        self._url = url
        self._name = name
        self._permits = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._idle = []

    @contextlib.contextmanager
    def transaction(self):
        """A cursor; what it did is committed at the end, or undone when the body raises."""
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
                return psycopg2.connect(self._url, application_name=self._name, connect_timeout=5)
            # A server that speaks between transactions says that it has ended the session.
            if not select.select([connection], [], [], 0)[0]:
                return connection
            connection.close()
