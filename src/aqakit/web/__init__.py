"""Upload a video, see its score distribution and what made it: ``aqakit serve RUN`` (extra ``web``).

A server process that never opens a video (:mod:`.app`), a queue in SQLite (:mod:`.jobs`) and one worker process with
limits (:mod:`.worker`), which can be lost at any time and is replaced (:mod:`.scorer`). From Python::

    job = httpx.post(f"{url}/api/scores", params={"run": "run", "name": "dive.mp4"}, content=open("dive.mp4", "rb"))
    with httpx.stream("GET", f"{url}/api/scores/{job.json()['id']}/events", timeout=None) as events:
        answer = json.loads([line for line in events.iter_lines() if line.startswith("data:")][-1][5:])
"""
