"""The demo's own PostgreSQL: a server in the demo's folder with a shop and a store for Perch."""

import glob
import os
import pwd
import secrets
import shutil
import signal

import psycopg2

from machine import Failed, Server, checked, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))


def binaries():
    """The newest installed server's folder of programs."""
    folders = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    if folders:
        newest = max(folders, key=lambda path: int(path.split("/")[4]))
        return os.path.dirname(newest)
    initdb = shutil.which("initdb")
    if initdb is None:
        raise Failed("no PostgreSQL server found\nhint: apt-get install postgresql, or put initdb in PATH")
    return os.path.dirname(os.path.realpath(initdb))


class Postgres:
    """Roles: postgres, shop (owns the tables), shop_canary, perch_admin, perch_store. Databases: shop, perch."""

    def __init__(self, folder, log, port):
        self.port = port
        self._folder = folder
        self._log = log
        self._server = None
        self._passwords = {
            role: secrets.token_hex(16) for role in ("postgres", "shop", "shop_canary", "perch_admin", "perch_store")
        }
        # The server refuses to run as root.
        self._as_user = {}
        if os.geteuid() == 0:
            self._as_user = {"user": "postgres", "group": "postgres", "extra_groups": []}

    def password(self, role):
        return self._passwords[role]

    def url(self, database, role):
        return f"postgres://{role}:{self._passwords[role]}@127.0.0.1:{self.port}/{database}"

    def connect(self, database="shop", role="postgres"):
        return psycopg2.connect(self.url(database, role), application_name="demo", connect_timeout=5)

    def start(self):
        bin_folder = binaries()
        self._initialise(bin_folder)
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "wal_level": "logical",
            "log_min_messages": "warning",
        }
        command = [os.path.join(bin_folder, "postgres"), "-D", self._folder]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self._server = Server("PostgreSQL", command, self._log, cwd="/", **self._as_user)
        wait_until(self._answers, 30, "PostgreSQL accepts connections")
        with self._session("postgres") as cursor:
            cursor.execute("SHOW server_version")
            return cursor.fetchone()[0].split()[0]

    def create_shop(self, schema):
        """Roles, databases and the shop's tables, as docs/postgresql.md says."""
        with self._session("postgres") as cursor:
            self._run(cursor, "roles.sql")
            cursor.execute("CREATE DATABASE shop OWNER shop")
            cursor.execute("CREATE DATABASE perch OWNER perch_store")
        with self._session("shop", role="shop") as cursor:
            with open(schema) as file:
                cursor.execute(file.read())
            self._run(cursor, "grants.sql")

    def stop(self):
        if self._server:
            self._server.stop(signal.SIGINT)

    def _initialise(self, bin_folder):
        os.mkdir(self._folder, 0o700)
        password = f"{self._folder}.password"
        with open(os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self._passwords["postgres"])
        if self._as_user:
            owner = pwd.getpwnam("postgres")
            for path in (self._folder, password):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        command = [
            os.path.join(bin_folder, "initdb"), "-D", self._folder, "-U", "postgres", "--auth=scram-sha-256",
            f"--pwfile={password}", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
        ]  # fmt: skip
        try:
            checked(command, cwd="/", **self._as_user)
        except Failed as failure:
            hint = f"user postgres must be able to enter {os.path.dirname(self._folder)}"
            raise Failed(f"{failure}\nhint: {hint}" if self._as_user else str(failure)) from None
        finally:
            os.unlink(password)

    def _answers(self):
        self._server.check_alive()
        try:
            self.connect("postgres").close()
            return True
        except psycopg2.OperationalError:
            return False

    def _run(self, cursor, name):
        with open(os.path.join(HERE, "sql", name)) as file:
            cursor.execute(file.read(), self._passwords)

    def _session(self, database, role="postgres"):
        return _Session(self.connect(database, role))


class _Session:
    """A cursor that commits every statement by itself; CREATE DATABASE asks for that."""

    def __init__(self, connection):
        self._connection = connection
        connection.autocommit = True

    def __enter__(self):
        return self._connection.cursor()

    def __exit__(self, *_):
        self._connection.close()
