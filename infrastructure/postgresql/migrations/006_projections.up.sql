-- How far each projection has come, and the running state that its rows cannot give back.
CREATE TABLE checkpoints (
    projection VARCHAR(100) PRIMARY KEY,
    version INTEGER NOT NULL,
    epoch UUID NOT NULL,
    position BIGINT NOT NULL,
    event_hash BYTEA NOT NULL,
    generation BIGINT NOT NULL DEFAULT 1, -- counts the rebuilds that replaced the tables
    fence BIGINT NOT NULL DEFAULT 0 -- that of the lease under which it is moved
);

-- Which of several projectors is active: the last that took the lease, for as long as it lives and renews it.
CREATE TABLE leases (
    name VARCHAR(100) PRIMARY KEY, -- of the projection
    fence BIGINT NOT NULL, -- counts the tenures
    candidate UUID NOT NULL,
    host VARCHAR(255) NOT NULL,
    pid BIGINT NOT NULL,
    since TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE TABLE project_state (
    project_id UUID PRIMARY KEY,
    real_sum NUMERIC NOT NULL,
    claimed_sum NUMERIC NOT NULL,
    weight_sum NUMERIC NOT NULL,
    real_progress FLOAT NOT NULL, -- this and the next three as the project's row has them
    fake_progress FLOAT NOT NULL,
    authenticity_rate FLOAT NOT NULL,
    quality_score FLOAT NOT NULL,
    metric_seq BIGINT NOT NULL
);

CREATE TABLE task_state (
    task_id UUID PRIMARY KEY,
    claimed BIGINT NOT NULL,
    authenticity BIGINT NOT NULL,
    weight BIGINT NOT NULL,
    worked BIGINT NOT NULL, -- microseconds in progress, of the spells that ended
    in_progress_since TIMESTAMP WITH TIME ZONE
);

CREATE TABLE run_state (
    run_id UUID PRIMARY KEY,
    validation_type VARCHAR(50) NOT NULL
);

CREATE TABLE staged_issues (
    id UUID PRIMARY KEY,
    run_id UUID NOT NULL,
    position BIGINT NOT NULL,
    task_id UUID,
    issue_type VARCHAR(50) NOT NULL,
    severity VARCHAR(20) NOT NULL,
    description TEXT NOT NULL,
    file_path VARCHAR(1000),
    line_number INTEGER,
    auto_fix_available BOOLEAN NOT NULL,
    suggested_fix TEXT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL
);

CREATE INDEX staged_issues_run_id ON staged_issues (run_id);
