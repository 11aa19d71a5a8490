"""Processes, ports and waiting: what every part of the demo needs from this machine."""

import os
import signal
import socket
import subprocess
import time


class Failed(Exception):
    """The story cannot go on; the text says why."""


def free_ports(count):
    """Ports of 127.0.0.1 that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def wait_until(question, seconds, what):
    """Asks every 100 ms until the answer is true, and returns it."""
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.1)


def checked(command, **options):
    """Runs a command to its end and returns what it printed."""
    name = os.path.basename(command[0])
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, **options)
    except subprocess.TimeoutExpired:
        raise Failed(f"{name} did not end within 60 s") from None
    if done.returncode != 0:
        raise Failed(f"{name} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


class Server:
    """A process that runs until it is stopped, with its output in a file."""

    def __init__(self, name, command, log, **options):
        self.name = name
        self.log = log
        with open(log, "ab") as output:
            # Its own session: Ctrl-C on the terminal reaches the demo alone, which then stops in order.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, **options
            )

    @property
    def pid(self):
        return self._process.pid

    def check_alive(self):
        if self._process.poll() is not None:
            raise Failed(f"{self.name} ended with {self._process.returncode}; its last words:\n{self.last_words()}")

    def last_words(self, lines=15):
        with open(self.log, errors="replace") as log:
            return "".join(log.readlines()[-lines:]).rstrip()

    def stop(self, kind=signal.SIGTERM, seconds=15):
        if self._process.poll() is not None:
            return
        self._process.send_signal(kind)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
