"""The process of one user's statement: it limits itself, answers, and writes the rows to standard output.

Its arguments are a folder for what does not fit the memory and the process that waits; a line of standard input is the
question; the last line of standard error is how it ended.
"""

import ctypes
import json
import os
import signal
import sys
import threading
from pathlib import Path

from warehouse.process_limits import limit_memory
from warehouse.sandbox.landlock import forbid_writing
from warehouse.sandbox.question import parse_memory

_BESIDE = 400 * 10**6  # bytes of memory beside what DuckDB counts: of the 512 MB, what libraries take comes off
_END_WITH_PARENT = 1  # of prctl


def main() -> None:
    """Answer one question, and end without clearing up."""
    spill, parent = Path(sys.argv[1]), int(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    _end_with_parent(parent)
    forbid_writing([spill])
    question = json.loads(sys.stdin.buffer.readline())
    limit_memory(int(parse_memory(question["memory"])) + _BESIDE)
    if sys.platform != "linux":
        threading.Thread(target=_end_with_input, daemon=True).start()
    from warehouse.sandbox.execution import run_question  # noqa: PLC0415  # its libraries start threads, which are limited by now

    verdict = run_question(question, spill)
    os.write(sys.stderr.fileno(), f"\n{json.dumps(verdict)}\n".encode())
    os._exit(0)


def _end_with_parent(parent: int) -> None:
    """End this process when the one that waits for it does, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _end_with_input() -> None:
    """End this process when its input does, which the one that waits holds open."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main()
