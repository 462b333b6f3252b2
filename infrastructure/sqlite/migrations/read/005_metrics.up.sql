-- A project's numbers over time, in SQLite's terms.

CREATE TABLE progress_metrics (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    project_id TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    metric_name TEXT NOT NULL CHECK (length(metric_name) <= 100),
    value REAL NOT NULL,
    metadata TEXT DEFAULT '{}' CHECK (metadata IS NULL OR json_valid(metadata)),
    recorded_at TEXT CHECK (recorded_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;

CREATE INDEX idx_progress_metrics_project_id ON progress_metrics(project_id);
CREATE INDEX idx_progress_metrics_metric_name ON progress_metrics(metric_name);
CREATE INDEX idx_progress_metrics_recorded_at ON progress_metrics(recorded_at);
CREATE INDEX idx_progress_metrics_project_metric_time ON progress_metrics(project_id, metric_name, recorded_at);
