"""Ends everything the demo started, whatever happens to the demo.

Perch's router and the service's instances outlive perchd on purpose. The keeper is their last ancestor: Linux hands
orphans to the nearest "child subreaper" above them (prctl(2)), so they stay its descendants and it can end exactly
these processes and no others.
"""

import ctypes
import os
import signal
import sys
import time
import traceback

PR_SET_CHILD_SUBREAPER = 36
GRACE_SECONDS = 8


def supervise(story):
    """Runs story() in a child process, then ends what it left behind.

    Returns the exit code that story() returned.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _run(story)
    # Ctrl-C reaches the child by itself: the terminal sends it to the whole foreground group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    code = None
    while code is None:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
    _end_leftovers()
    return code if code >= 0 else 1


def _run(story):
    code = 1
    try:
        code = story()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _end_leftovers():
    deadline = time.monotonic() + GRACE_SECONDS
    asked = set()
    while True:
        _reap()
        left = _descendants()
        if not left:
            return
        late = time.monotonic() > deadline
        for pid in left if late else left - asked:
            try:
                os.kill(pid, signal.SIGKILL if late else signal.SIGTERM)
            except ProcessLookupError:
                pass
        asked |= left
        time.sleep(0.05)


def _reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _descendants():
    """Every process below this one."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as stat:
                    parent = int(stat.read().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(name))
    found, ahead = set(), [os.getpid()]
    while ahead:
        for pid in children.get(ahead.pop(), []):
            found.add(pid)
            ahead.append(pid)
    return found
