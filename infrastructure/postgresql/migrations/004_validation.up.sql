-- Validation reports and the issues they found.

CREATE TABLE validation_reports (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id UUID NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    validation_type VARCHAR(50) NOT NULL CHECK (validation_type IN ('quick', 'deep', 'comprehensive', 'scheduled')),
    overall_authenticity FLOAT CHECK (overall_authenticity >= 0 AND overall_authenticity <= 100),
    real_progress FLOAT CHECK (real_progress >= 0 AND real_progress <= 100),
    fake_progress FLOAT CHECK (fake_progress >= 0 AND fake_progress <= 100),
    quality_metrics JSONB DEFAULT '{}',
    issues_summary JSONB DEFAULT '{}',
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW()
);

CREATE INDEX idx_validation_reports_project_id ON validation_reports(project_id);
CREATE INDEX idx_validation_reports_validation_type ON validation_reports(validation_type);
CREATE INDEX idx_validation_reports_created_at ON validation_reports(created_at);
CREATE INDEX idx_validation_reports_authenticity ON validation_reports(overall_authenticity);
CREATE INDEX idx_validation_project_type_created ON validation_reports(project_id, validation_type, created_at DESC);

CREATE TABLE validation_issues (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    validation_report_id UUID NOT NULL REFERENCES validation_reports(id) ON DELETE CASCADE,
    task_id UUID REFERENCES tasks(id) ON DELETE SET NULL,
    issue_type VARCHAR(50) NOT NULL CHECK (
        issue_type IN ('placeholder', 'empty_function', 'mock_data', 'broken_logic', 'security_risk')
    ),
    severity VARCHAR(20) NOT NULL CHECK (severity IN ('low', 'medium', 'high', 'critical')),
    description TEXT NOT NULL,
    file_path VARCHAR(1000),
    line_number INTEGER,
    auto_fix_available BOOLEAN DEFAULT false,
    suggested_fix TEXT,
    status VARCHAR(50) DEFAULT 'open' CHECK (status IN ('open', 'in_progress', 'resolved', 'ignored')),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    resolved_at TIMESTAMP WITH TIME ZONE
);

CREATE INDEX idx_validation_issues_report_id ON validation_issues(validation_report_id);
CREATE INDEX idx_validation_issues_task_id ON validation_issues(task_id);
CREATE INDEX idx_validation_issues_issue_type ON validation_issues(issue_type);
CREATE INDEX idx_validation_issues_severity ON validation_issues(severity);
CREATE INDEX idx_validation_issues_status ON validation_issues(status);
CREATE INDEX idx_validation_issues_file_path ON validation_issues(file_path);
