"""Upload a video, see its score distribution and what made it: ``aqakit serve RUN`` (extra ``web``).

A server process that never opens a video (:mod:`.app`), a queue in SQLite (:mod:`.jobs`) and one worker process with
limits (:mod:`.worker`), which can be lost at any time and is replaced (:mod:`.scorer`). ``docs/serve.md`` tells how to
use it, from a browser and from Python.
"""
