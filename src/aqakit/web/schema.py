"""The tables of the queue: scripts that bring a file of any older layout to the present one."""

MIGRATIONS = (
    """
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        run TEXT NOT NULL,
        difficulty REAL,
        size INTEGER NOT NULL,
        status TEXT NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'scoring', 'finished', 'failed')),
        attempts INTEGER NOT NULL DEFAULT 0,
        created REAL NOT NULL,
        finished REAL,
        video INTEGER NOT NULL DEFAULT 1,
        result TEXT,
        problem TEXT
    );
    CREATE INDEX waiting ON jobs (status, number);
    """,
    """
    ALTER TABLE jobs ADD COLUMN client TEXT NOT NULL DEFAULT '';
    ALTER TABLE jobs ADD COLUMN ended REAL;
    UPDATE jobs SET ended = finished;
    CREATE INDEX held ON jobs (status, client);
    CREATE INDEX kept ON jobs (video, size);
    CREATE TABLE clock (one INTEGER PRIMARY KEY CHECK (one = 1), seconds REAL, system REAL, boot TEXT, up REAL);
    """,
    """
    CREATE TABLE results (number INTEGER PRIMARY KEY REFERENCES jobs ON DELETE CASCADE, result TEXT NOT NULL);
    INSERT INTO results SELECT number, result FROM jobs WHERE result IS NOT NULL;
    ALTER TABLE jobs ADD COLUMN score REAL;
    ALTER TABLE jobs ADD COLUMN std REAL;
    ALTER TABLE jobs ADD COLUMN low REAL;
    ALTER TABLE jobs ADD COLUMN high REAL;
    ALTER TABLE jobs ADD COLUMN unit TEXT NOT NULL DEFAULT '';
    UPDATE jobs SET
        score = json_extract(result, '$.score'),
        std = json_extract(result, '$.std'),
        low = (SELECT json_extract(value, '$.low') FROM json_each(result, '$.intervals')
            WHERE json_extract(value, '$.level') = 0.9),
        high = (SELECT json_extract(value, '$.high') FROM json_each(result, '$.intervals')
            WHERE json_extract(value, '$.level') = 0.9),
        unit = COALESCE(json_extract(result, '$.unit'), '')
        WHERE result IS NOT NULL;
    ALTER TABLE jobs DROP COLUMN result;
    ALTER TABLE jobs ADD COLUMN athlete TEXT NOT NULL DEFAULT '';
    ALTER TABLE jobs ADD COLUMN date TEXT NOT NULL DEFAULT '';
    ALTER TABLE jobs ADD COLUMN tags TEXT NOT NULL DEFAULT '';
    ALTER TABLE jobs ADD COLUMN notes TEXT NOT NULL DEFAULT '';
    ALTER TABLE jobs ADD COLUMN truth REAL;
    ALTER TABLE jobs ADD COLUMN judges TEXT NOT NULL DEFAULT '';
    CREATE INDEX by_run ON jobs (run, number);
    CREATE INDEX by_athlete ON jobs (athlete, date);
    CREATE INDEX by_date ON jobs (date, number);
    CREATE INDEX by_score ON jobs (score, number);
    """,
    """
    CREATE TABLE pairs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        first INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
        second INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
        better TEXT NOT NULL CHECK (better IN ('first', 'second', 'equal')),
        created REAL NOT NULL,
        CHECK (first <> second)
    );
    CREATE INDEX pairs_of_first ON pairs (first);
    CREATE INDEX pairs_of_second ON pairs (second);
    CREATE TABLE chosen (one INTEGER PRIMARY KEY CHECK (one = 1), run TEXT NOT NULL);
    """,
)
"""Scripts that make each next version; ``PRAGMA user_version`` counts those applied."""

LISTED = (
    "id", "name", "run", "status", "created", "finished", "difficulty", "athlete", "date", "tags", "notes", "score",
    "std", "low", "high", "unit", "truth", "judges", "video", "problem",
)  # fmt: skip
"""Columns of a row of the list."""
