-- How far each projection has come, and the running state that its rows cannot give back.
CREATE TABLE checkpoints (
    projection TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    epoch TEXT NOT NULL,
    position INTEGER NOT NULL,
    event_hash BLOB NOT NULL,
    generation INTEGER NOT NULL DEFAULT 1, -- counts the rebuilds that replaced the tables
    fence INTEGER NOT NULL DEFAULT 0 -- that of the lease under which it is moved
) STRICT;

-- Which of several projectors is active: the last that took the lease. Until when is in a file of its own, that it locks.
CREATE TABLE leases (
    name TEXT PRIMARY KEY, -- of the projection
    fence INTEGER NOT NULL, -- counts the tenures
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    since TEXT NOT NULL
) STRICT;

CREATE TABLE project_state (
    project_id TEXT PRIMARY KEY,
    real_sum TEXT NOT NULL,
    claimed_sum TEXT NOT NULL,
    weight_sum TEXT NOT NULL,
    real_progress REAL NOT NULL, -- this and the next three as the project's row has them
    fake_progress REAL NOT NULL,
    authenticity_rate REAL NOT NULL,
    quality_score REAL NOT NULL,
    metric_seq INTEGER NOT NULL
) STRICT;

CREATE TABLE task_state (
    task_id TEXT PRIMARY KEY,
    claimed INTEGER NOT NULL,
    authenticity INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    worked INTEGER NOT NULL, -- microseconds in progress, of the spells that ended
    in_progress_since TEXT
) STRICT;

CREATE TABLE run_state (
    run_id TEXT PRIMARY KEY,
    validation_type TEXT NOT NULL
) STRICT;

CREATE TABLE staged_issues (
    id TEXT PRIMARY KEY,
    run_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    task_id TEXT,
    issue_type TEXT NOT NULL,
    severity TEXT NOT NULL,
    description TEXT NOT NULL,
    file_path TEXT,
    line_number INTEGER,
    auto_fix_available INTEGER NOT NULL,
    suggested_fix TEXT,
    created_at TEXT NOT NULL
) STRICT;

CREATE INDEX staged_issues_run_id ON staged_issues (run_id);
