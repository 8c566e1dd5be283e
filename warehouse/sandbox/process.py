"""The process of one user's statement: it limits itself, answers, and writes the rows to standard output.

Its arguments are a folder for data that does not fit in memory and the id of the process that waits for it. A line of
standard input is the question. The last line of standard error says how it ended.
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

_OVERHEAD = 400 * 10**6  # bytes of memory that DuckDB does not count: 512 MB less what libraries take
_END_WITH_PARENT = 1  # of prctl


def main() -> None:
    """Answer one question, and exit without cleaning up."""
    spill, parent = Path(sys.argv[1]), int(sys.argv[2])
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    _end_with_parent(parent)
    forbid_writing([spill])
    question = json.loads(sys.stdin.buffer.readline())
    limit_memory(int(parse_memory(question["memory"])) + _OVERHEAD)
    if sys.platform != "linux":
        threading.Thread(target=_end_with_input, daemon=True).start()
    from warehouse.sandbox.execution import run_question  # noqa: PLC0415  # its libraries start threads, which must be limited

    verdict = run_question(question, spill)
    os.write(sys.stderr.fileno(), f"\n{json.dumps(verdict)}\n".encode())
    os._exit(0)


def _end_with_parent(parent: int) -> None:
    """End this process when the one that waits for it ends, for whatever reason."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _end_with_input() -> None:
    """End this process when its input ends, which the waiting process holds open."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    main()
