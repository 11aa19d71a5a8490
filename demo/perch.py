"""Perch as an operator and a CI job meet it: settings, the daemon, the signed webhook, the command line."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import secrets
import string
import sys
import time
import uuid

from machine import Failed, Server, checked, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


def binaries():
    """The folder of perchd and perch: PERCH_BIN, or what was built last."""
    if "PERCH_BIN" in os.environ:
        return os.path.abspath(os.environ["PERCH_BIN"])
    built = [os.path.join(ROOT, ".build", mode, "perchd") for mode in ("release", "debug")]
    built = [path for path in built if os.access(path, os.X_OK)]
    if not built:
        raise Failed("perchd is not built\nhint: make demo builds it")
    return os.path.dirname(max(built, key=os.path.getmtime))


class Perch:
    def __init__(self, folder, logs, postgres, repository, api_port, shop_port):
        self.binaries = binaries()
        self.config = os.path.join(folder, "perch.yaml")
        self.socket = os.path.join(folder, "perchd.sock")
        self.shop_port = shop_port
        self._api_port = api_port
        self._log = os.path.join(logs, "perchd.log")
        self._server = None
        self._secret = secrets.token_bytes(32)
        self._environment = dict(
            os.environ,
            PERCH_STORE_URL=postgres.url("perch", "perch_store"),
            SHOP_DATABASE_URL=postgres.url("shop", "shop"),
            SHOP_ADMIN_URL=postgres.url("shop", "perch_admin"),
            SHOP_CANARY_PASSWORD=postgres.password("shop_canary"),
            SHOP_WEBHOOK_SECRET="whsec_" + base64.b64encode(self._secret).decode(),
        )
        values = {
            "data": os.path.join(folder, "perch"),
            "policies": os.path.join(folder, "policies"),
            "socket": self.socket,
            "repository": repository,
            "python": sys.executable,
            "api_port": api_port,
            "shop_port": shop_port,
        }
        os.mkdir(values["data"], 0o700)
        os.mkdir(values["policies"])
        self._fill("perch.yaml", self.config, values)
        self._fill("shop.yaml", os.path.join(values["policies"], "shop.yaml"), values)

    def start(self):
        command = [os.path.join(self.binaries, "perchd"), "serve", "--config", self.config]
        self._server = Server("perchd", command, self._log, env=self._environment)
        wait_until(self._is_ready, 30, "perchd is ready")

    def stop(self):
        if self._server:
            self._server.stop()

    def trigger(self, commit, build):
        """What a CI job does after its tests: one signed call (Standard Webhooks). Returns the release's id."""
        body = json.dumps({"commit": commit, "build": {"id": build}}).encode()
        delivery, moment = f"msg_{uuid.uuid4().hex}", str(int(time.time()))
        signed = hmac.new(self._secret, f"{delivery}.{moment}.".encode() + body, hashlib.sha256).digest()
        headers = {
            "Content-Type": "application/json",
            "webhook-id": delivery,
            "webhook-timestamp": moment,
            "webhook-signature": "v1," + base64.b64encode(signed).decode(),
        }
        status, answer = self._call("POST", "/hooks/shop", body, headers)
        if status != 202:
            raise Failed(f"the webhook was answered {status}: {answer}")
        return json.loads(answer)["release"]

    def show(self, release):
        return json.loads(self.cli("show", release, "--output", "json"))

    def quarantine(self, release):
        """Every change that was kept out of the data."""
        document = json.loads(self.cli("quarantine", "list", release, "--output", "json"))
        return document["changes"] if isinstance(document, dict) else document

    def report(self, release):
        return json.loads(self.cli("report", release, "--format", "json"))

    def check_alive(self):
        self._server.check_alive()

    @property
    def server(self):
        """What PERCH_SERVER must be for `perch`."""
        return f"unix://{self.socket}"

    def cli(self, *arguments):
        """What `perch` prints; Failed when it does not end with 0."""
        program = os.path.join(self.binaries, "perch")
        return checked([program, *arguments], env=dict(os.environ, PERCH_SERVER=self.server))

    def _is_ready(self):
        self._server.check_alive()
        try:
            return self._call("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def _call(self, method, path, body=None, headers={}):
        connection = http.client.HTTPConnection("127.0.0.1", self._api_port, timeout=15)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        finally:
            connection.close()

    def _fill(self, name, path, values):
        with open(os.path.join(HERE, "settings", name)) as template, open(path, "w") as file:
            file.write(string.Template(template.read()).substitute(values))
