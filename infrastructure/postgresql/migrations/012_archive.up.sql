-- What archived projects leave the read tables for, and what retention did. An archive table has the columns, CHECKs
-- and keys of its table; it references the archive table of a parent that is archived too. Rows move here complete.

CREATE TABLE projects_archive (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id UUID NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    name VARCHAR(255) NOT NULL,
    description TEXT,
    status VARCHAR(50) DEFAULT 'active' CHECK (status IN ('active', 'completed', 'archived', 'failed')),
    template_id VARCHAR(255),
    configuration JSONB DEFAULT '{}',
    metadata JSONB DEFAULT '{}',
    real_progress FLOAT DEFAULT 0.0 CHECK (real_progress >= 0 AND real_progress <= 100),
    fake_progress FLOAT DEFAULT 0.0 CHECK (fake_progress >= 0 AND fake_progress <= 100),
    authenticity_rate FLOAT DEFAULT 100.0 CHECK (authenticity_rate >= 0 AND authenticity_rate <= 100),
    quality_score FLOAT DEFAULT 0.0 CHECK (quality_score >= 0 AND quality_score <= 100),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    completed_at TIMESTAMP WITH TIME ZONE,
    archived_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT NOW()
);

CREATE INDEX idx_projects_archive_user_id ON projects_archive(user_id);
CREATE INDEX idx_projects_archive_created_at ON projects_archive(created_at);
CREATE INDEX idx_projects_archive_updated_at ON projects_archive(updated_at);
CREATE INDEX idx_projects_archive_completed_at ON projects_archive(completed_at);
CREATE INDEX idx_projects_archive_archived_at ON projects_archive(archived_at);

CREATE TABLE tasks_archive (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id UUID NOT NULL REFERENCES projects_archive(id) ON DELETE CASCADE,
    name VARCHAR(255) NOT NULL,
    description TEXT,
    status VARCHAR(50) DEFAULT 'pending' CHECK (status IN ('pending', 'in_progress', 'completed', 'failed', 'blocked')),
    priority VARCHAR(20) DEFAULT 'medium' CHECK (priority IN ('low', 'medium', 'high', 'critical')),
    real_progress FLOAT DEFAULT 0.0 CHECK (real_progress >= 0 AND real_progress <= 100),
    fake_progress FLOAT DEFAULT 0.0 CHECK (fake_progress >= 0 AND fake_progress <= 100),
    authenticity_score FLOAT DEFAULT 100.0 CHECK (authenticity_score >= 0 AND authenticity_score <= 100),
    ai_prompt TEXT,
    expected_outputs JSONB DEFAULT '[]',
    validation_criteria JSONB DEFAULT '{}',
    estimated_duration INTEGER,
    actual_duration INTEGER,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    completed_at TIMESTAMP WITH TIME ZONE,
    added_position BIGINT NOT NULL
);

CREATE INDEX idx_tasks_archive_project_id ON tasks_archive(project_id);
CREATE INDEX idx_tasks_archive_created_at ON tasks_archive(created_at);
CREATE INDEX idx_tasks_archive_updated_at ON tasks_archive(updated_at);
CREATE INDEX idx_tasks_archive_completed_at ON tasks_archive(completed_at);

CREATE TABLE task_dependencies_archive (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    task_id UUID NOT NULL REFERENCES tasks_archive(id) ON DELETE CASCADE,
    depends_on_task_id UUID NOT NULL REFERENCES tasks_archive(id) ON DELETE CASCADE,
    dependency_type VARCHAR(50) DEFAULT 'blocks' CHECK (dependency_type IN ('blocks', 'requires', 'suggests')),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    UNIQUE(task_id, depends_on_task_id)
);

CREATE INDEX idx_task_dependencies_archive_task_id ON task_dependencies_archive(task_id);
CREATE INDEX idx_task_dependencies_archive_depends_on_task_id ON task_dependencies_archive(depends_on_task_id);
CREATE INDEX idx_task_dependencies_archive_created_at ON task_dependencies_archive(created_at);

CREATE TABLE project_files_archive (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id UUID NOT NULL REFERENCES projects_archive(id) ON DELETE CASCADE,
    file_path VARCHAR(1000) NOT NULL,
    content TEXT,
    content_hash VARCHAR(64),
    size_bytes INTEGER DEFAULT 0,
    status VARCHAR(50) DEFAULT 'created' CHECK (
        status IN ('created', 'modified', 'validated', 'failed_validation', 'deleted')
    ),
    validation_score FLOAT DEFAULT 0.0 CHECK (validation_score >= 0 AND validation_score <= 100),
    metadata JSONB DEFAULT '{}',
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    UNIQUE(project_id, file_path)
);

CREATE INDEX idx_project_files_archive_project_id ON project_files_archive(project_id);
CREATE INDEX idx_project_files_archive_created_at ON project_files_archive(created_at);
CREATE INDEX idx_project_files_archive_updated_at ON project_files_archive(updated_at);

CREATE TABLE validation_reports_archive (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id UUID NOT NULL REFERENCES projects_archive(id) ON DELETE CASCADE,
    validation_type VARCHAR(50) NOT NULL CHECK (validation_type IN ('quick', 'deep', 'comprehensive', 'scheduled')),
    overall_authenticity FLOAT CHECK (overall_authenticity >= 0 AND overall_authenticity <= 100),
    real_progress FLOAT CHECK (real_progress >= 0 AND real_progress <= 100),
    fake_progress FLOAT CHECK (fake_progress >= 0 AND fake_progress <= 100),
    quality_metrics JSONB DEFAULT '{}',
    issues_summary JSONB DEFAULT '{}',
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW()
);

CREATE INDEX idx_validation_reports_archive_project_id ON validation_reports_archive(project_id);
CREATE INDEX idx_validation_reports_archive_created_at ON validation_reports_archive(created_at);

CREATE TABLE validation_issues_archive (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    validation_report_id UUID NOT NULL REFERENCES validation_reports_archive(id) ON DELETE CASCADE,
    task_id UUID REFERENCES tasks_archive(id) ON DELETE SET NULL,
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

CREATE INDEX idx_validation_issues_archive_validation_report_id ON validation_issues_archive(validation_report_id);
CREATE INDEX idx_validation_issues_archive_task_id ON validation_issues_archive(task_id);
CREATE INDEX idx_validation_issues_archive_created_at ON validation_issues_archive(created_at);
CREATE INDEX idx_validation_issues_archive_resolved_at ON validation_issues_archive(resolved_at);

CREATE TABLE progress_metrics_archive (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id UUID NOT NULL REFERENCES projects_archive(id) ON DELETE CASCADE,
    metric_name VARCHAR(100) NOT NULL,
    value FLOAT NOT NULL,
    metadata JSONB DEFAULT '{}',
    recorded_at TIMESTAMP WITH TIME ZONE DEFAULT NOW()
);

CREATE INDEX idx_progress_metrics_archive_project_id ON progress_metrics_archive(project_id);
CREATE INDEX idx_progress_metrics_archive_recorded_at ON progress_metrics_archive(recorded_at);

CREATE TABLE step_executions_archive (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    run_id UUID NOT NULL,
    workflow_step_id UUID NOT NULL REFERENCES workflow_steps(id) ON DELETE CASCADE,
    project_id UUID NOT NULL REFERENCES projects_archive(id) ON DELETE CASCADE,
    status VARCHAR(50) DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'completed', 'failed', 'skipped')),
    result_data JSONB DEFAULT '{}',
    execution_metadata JSONB DEFAULT '{}',
    started_at TIMESTAMP WITH TIME ZONE,
    completed_at TIMESTAMP WITH TIME ZONE,
    UNIQUE(run_id, workflow_step_id)
);

CREATE INDEX idx_step_executions_archive_workflow_step_id ON step_executions_archive(workflow_step_id);
CREATE INDEX idx_step_executions_archive_project_id ON step_executions_archive(project_id);
CREATE INDEX idx_step_executions_archive_started_at ON step_executions_archive(started_at);
CREATE INDEX idx_step_executions_archive_completed_at ON step_executions_archive(completed_at);

CREATE TABLE agent_assignments_archive (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    agent_id UUID NOT NULL REFERENCES agents(id) ON DELETE CASCADE,
    task_id UUID NOT NULL REFERENCES tasks_archive(id) ON DELETE CASCADE,
    status VARCHAR(50) DEFAULT 'assigned' CHECK (status IN ('assigned', 'completed', 'released', 'failed')),
    assignment_metadata JSONB DEFAULT '{}',
    assigned_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    completed_at TIMESTAMP WITH TIME ZONE
);

CREATE INDEX idx_agent_assignments_archive_agent_id ON agent_assignments_archive(agent_id);
CREATE INDEX idx_agent_assignments_archive_task_id ON agent_assignments_archive(task_id);
CREATE INDEX idx_agent_assignments_archive_assigned_at ON agent_assignments_archive(assigned_at);
CREATE INDEX idx_agent_assignments_archive_completed_at ON agent_assignments_archive(completed_at);

-- What retention did: one row for each table and rule, of what was older than the cutoff.
CREATE TABLE cleanup_log (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    table_name VARCHAR(100) NOT NULL,
    rows_deleted INTEGER NOT NULL CHECK (rows_deleted >= 0),
    cutoff TIMESTAMP WITH TIME ZONE,
    cleanup_date TIMESTAMP WITH TIME ZONE DEFAULT NOW()
);

CREATE INDEX idx_cleanup_log_table_name ON cleanup_log(table_name);
CREATE INDEX idx_cleanup_log_cutoff ON cleanup_log(cutoff);
CREATE INDEX idx_cleanup_log_cleanup_date ON cleanup_log(cleanup_date);
