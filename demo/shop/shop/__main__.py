"""python3 -m shop --port 8000, with DATABASE_URL in the environment; SIGTERM: finish what is in flight, then end."""

import argparse
import os
import signal
import threading

from shop import VERSION
from shop.database import Database
from shop.server import Server

DRAIN_SECONDS = 10


def main():
    arguments = argparse.ArgumentParser(prog="shop")
    arguments.add_argument("--port", type=int, required=True)
    port = arguments.parse_args().port
    server = Server(port, Database(os.environ["DATABASE_URL"], name=f"shop {VERSION}"))
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"shop {VERSION} listens on port {port}", flush=True)
    ended.wait()
    server.drain(DRAIN_SECONDS)


main()
