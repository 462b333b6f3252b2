-- A project's numbers over time.

CREATE TABLE progress_metrics (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id UUID NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    metric_name VARCHAR(100) NOT NULL,
    value FLOAT NOT NULL,
    metadata JSONB DEFAULT '{}',
    recorded_at TIMESTAMP WITH TIME ZONE DEFAULT NOW()
);

CREATE INDEX idx_progress_metrics_project_id ON progress_metrics(project_id);
CREATE INDEX idx_progress_metrics_metric_name ON progress_metrics(metric_name);
CREATE INDEX idx_progress_metrics_recorded_at ON progress_metrics(recorded_at);
CREATE INDEX idx_progress_metrics_project_metric_time ON progress_metrics(project_id, metric_name, recorded_at);
