"""The shop's git repository: release 1 is demo/shop, the later ones are the mails in demo/commits."""

import glob
import os
import shutil
from collections import namedtuple

from machine import checked

HERE = os.path.dirname(os.path.abspath(__file__))

Commit = namedtuple("Commit", "id author subject")


class Repository:
    def __init__(self, folder):
        self.folder = folder

    def create(self):
        """Commits release 1."""
        shutil.copytree(os.path.join(HERE, "shop"), self.folder, ignore=shutil.ignore_patterns("__pycache__"))
        self._git("init", "--quiet", "--initial-branch=main")
        self._git("add", ".")
        self._git("commit", "--quiet", "--author=Ana Lind <ana@shop.example>", "--message=A small shop")
        return self._commits("HEAD")[0]

    def add_release(self, number):
        """Commits what a later release brings; oldest first."""
        before = self._git("rev-parse", "HEAD").strip()
        self._git("am", "--quiet", *sorted(glob.glob(os.path.join(HERE, "commits", f"release-{number}", "*.patch"))))
        return self._commits(f"{before}..HEAD")

    def _commits(self, revisions):
        listed = self._git("log", "--reverse", "--format=%H%x09%an%x09%s", revisions)
        return [Commit(*line.split("\t")) for line in listed.splitlines()]

    def _git(self, *arguments):
        # Nobody's own settings: no signing, no hooks, no other repository.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        environment |= {
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_COMMITTER_NAME": "Shop CI",
            "GIT_COMMITTER_EMAIL": "ci@shop.example",
        }
        return checked(["git", "-C", self.folder, *arguments], env=environment)
