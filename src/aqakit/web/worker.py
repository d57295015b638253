"""The process that opens untrusted videos: one job per input line, JSON lines as output.

It is limited before it reads the first byte of a video, and may die at any time. Its output is data, never code: the
server reads JSON, no pickles.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from aqakit.errors import AqakitError
from aqakit.training.run import Run
from aqakit.web.answer import answer
from aqakit.web.limits import Limits, confine

Say = Callable[..., None]

_MEMORY = "{name}: scoring needs more memory than allowed for one video; give a shorter or smaller video"
_FAULT = "{name}: scoring failed with an unexpected error; see the server's log"


def main(limits: Limits) -> None:
    """Answer jobs until the server closes the input, or until memory runs out, when a fresh process is better."""
    say = _sayer()
    confine(limits.memory)
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, ((os.cpu_count() or 2) - 1) // limits.workers))
    load = lru_cache(maxsize=4)(Run.load)
    say(ready=True)
    for line in sys.stdin:
        job = json.loads(line)
        try:
            run, path = load(job["folder"]), Path(job["path"])
            result = answer(run, path, job["name"], job["difficulty"], limits, _telling(say))
            say(result=result.model_dump())
        except AqakitError as error:
            say(problem=_sentence(error, job))
        except BrokenPipeError:  # the server is gone
            raise
        except MemoryError:
            return say(problem=_MEMORY.format(**job), last=True)
        except Exception as error:  # an odd file can provoke any error in a library
            traceback.print_exc()
            short = "allocate memory" in str(error) or "not enough memory" in str(error)  # a RuntimeError in PyTorch
            say(problem=(_MEMORY if short else _FAULT).format(**job), last=short)
            if short:
                return None
    return None


def _telling(say: Say) -> Callable[[int, int], None]:
    return lambda done, total: say(done=done, total=total)


def _sentence(error: AqakitError, job: dict[str, Any]) -> str:
    """Return the message without the server's paths."""
    return str(error).replace(job["path"], job["name"]).replace(job["folder"], job["run"])


def _sayer() -> Say:
    """Return a function that writes to the original standard output; output of libraries goes to standard error."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(**message: Any) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    return say


if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    try:
        main(Limits(**options["limits"]))
    except (BrokenPipeError, KeyboardInterrupt):  # the server is gone
        os._exit(0)
