"""A video is uploaded in the browser, its score and an explanation go out: ``aqakit serve RUN`` (extra ``web``).

May import ``report`` and the rooms on its left.

It has a server process that never opens a video (:mod:`.app`), a queue in SQLite (:mod:`.jobs`) and one worker process
with resource limits (:mod:`.worker`), which may die at any time and is then replaced (:mod:`.scorer`).
``docs/serve.md`` explains its use from a browser and from Python.
"""
