"""Runs a daemon that forgets whose child it is: `python -m ops.services.guard PROGRAM ARGUMENT…`

Postfix' master changes its user for a moment, and the kernel then drops the signal that it would have got at its
parent's death (prctl(2), PR_SET_PDEATHSIG). This process keeps that signal and passes SIGTERM on.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from types import FrameType


def main() -> int:
    daemon = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, process_group=0)

    def pass_on(_number: int, _frame: FrameType | None) -> None:
        daemon.terminate()

    signal.signal(signal.SIGTERM, pass_on)
    return daemon.wait()


if __name__ == "__main__":
    sys.exit(main())
