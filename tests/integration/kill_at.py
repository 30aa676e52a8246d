"""A pytest plugin that ends its own process, as `kill -9` does, at the moment $KILL_AT names.

`2 os.rename run.json` is the second time that Python is about to rename something with run.json in its arguments:
the names are those of Python's audit events.
"""

import os
import signal
import sys

times, event, what = os.environ["KILL_AT"].split(maxsplit=2)
left = int(times)


def _watch(now: str, args: tuple[object, ...]) -> None:
    global left
    if now == event and what in repr(args):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(_watch)
