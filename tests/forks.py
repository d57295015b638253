"""Child processes that have imported everything already, so that one takes no longer than its work."""

import os
import signal
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path


def fork(work: Callable[[], object], environment: Mapping[str, str] | None = None, log: Path | None = None) -> int:
    """Do some work in a child, whose output goes to a file or nowhere; its process id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            out = os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT, 0o600)
            os.dup2(out, 1), os.dup2(out, 2)
            os.environ.update(environment or {})
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def wait(child: int) -> int:
    """Wait for the end of a child; its exit code, or the negative signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_when(child: int, reached: Callable[[], bool]) -> None:
    """Kill a child in the middle of its work: it must not have ended by itself."""
    while not reached() and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    assert wait(child) == -signal.SIGKILL
