"""`tools/lab.py` as a process of its own: what `make lab` and `make teach` start."""

import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager

from tools import lab


@contextmanager
def lab_server(*arguments, **environment):
    """The address, token included, that the running server announces."""
    process = subprocess.Popen(
        [sys.executable, lab.__file__, "--no-browser", *arguments],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = threading.Timer(90, process.kill)
    deadline.start()
    said = ""
    for line in process.stderr:
        said += line
        if "token=" in line:
            break
    deadline.cancel()
    address = re.search(r"http://\S+", said)
    assert address, said
    drain = threading.Thread(target=process.stderr.read, daemon=True)  # else its pipe fills up
    drain.start()
    try:
        yield address[0]
    finally:
        process.terminate()
        process.wait(30)
        drain.join(30)
        process.stderr.close()
