"""A video comes in by the browser, its score and what made it go out: ``aqakit serve RUN`` (extra ``web``).

May import ``report`` and the rooms on its left.

A server process that never opens a video (:mod:`.app`), a queue in SQLite (:mod:`.jobs`) and one worker process with
limits (:mod:`.worker`), which can be lost at any time and is replaced (:mod:`.scorer`). ``docs/serve.md`` tells how to
use it, from a browser and from Python.
"""
