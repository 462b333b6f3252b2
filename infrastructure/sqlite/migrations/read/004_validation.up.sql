-- Validation reports and the issues they found, in SQLite's terms.

CREATE TABLE validation_reports (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    project_id TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    validation_type TEXT NOT NULL CHECK (validation_type IN ('quick', 'deep', 'comprehensive', 'scheduled')),
    overall_authenticity REAL CHECK (overall_authenticity >= 0 AND overall_authenticity <= 100),
    real_progress REAL CHECK (real_progress >= 0 AND real_progress <= 100),
    fake_progress REAL CHECK (fake_progress >= 0 AND fake_progress <= 100),
    quality_metrics TEXT DEFAULT '{}' CHECK (quality_metrics IS NULL OR json_valid(quality_metrics)),
    issues_summary TEXT DEFAULT '{}' CHECK (issues_summary IS NULL OR json_valid(issues_summary)),
    created_at TEXT CHECK (created_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;

CREATE INDEX idx_validation_reports_project_id ON validation_reports(project_id);
CREATE INDEX idx_validation_reports_validation_type ON validation_reports(validation_type);
CREATE INDEX idx_validation_reports_created_at ON validation_reports(created_at);
CREATE INDEX idx_validation_reports_authenticity ON validation_reports(overall_authenticity);
CREATE INDEX idx_validation_project_type_created ON validation_reports(project_id, validation_type, created_at DESC);

CREATE TABLE validation_issues (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    validation_report_id TEXT NOT NULL REFERENCES validation_reports(id) ON DELETE CASCADE,
    task_id TEXT REFERENCES tasks(id) ON DELETE SET NULL,
    issue_type TEXT NOT NULL CHECK (
        issue_type IN ('placeholder', 'empty_function', 'mock_data', 'broken_logic', 'security_risk')
    ),
    severity TEXT NOT NULL CHECK (severity IN ('low', 'medium', 'high', 'critical')),
    description TEXT NOT NULL,
    file_path TEXT CHECK (length(file_path) <= 1000),
    line_number INTEGER CHECK (line_number BETWEEN -2147483648 AND 2147483647),
    auto_fix_available INTEGER DEFAULT 0 CHECK (auto_fix_available IN (0, 1)),
    suggested_fix TEXT,
    status TEXT DEFAULT 'open' CHECK (status IN ('open', 'in_progress', 'resolved', 'ignored')),
    created_at TEXT CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    resolved_at TEXT CHECK (resolved_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;

CREATE INDEX idx_validation_issues_report_id ON validation_issues(validation_report_id);
CREATE INDEX idx_validation_issues_task_id ON validation_issues(task_id);
CREATE INDEX idx_validation_issues_issue_type ON validation_issues(issue_type);
CREATE INDEX idx_validation_issues_severity ON validation_issues(severity);
CREATE INDEX idx_validation_issues_status ON validation_issues(status);
CREATE INDEX idx_validation_issues_file_path ON validation_issues(file_path);
