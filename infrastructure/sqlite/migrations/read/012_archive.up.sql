-- What archived projects leave the read tables for, and what retention did, in SQLite's terms. An archive table has the
-- columns, CHECKs and keys of its table; it references the archive table of a parent that is archived too. Rows move
-- here complete.

CREATE TABLE projects_archive (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    name TEXT NOT NULL CHECK (length(name) <= 255),
    description TEXT,
    status TEXT DEFAULT 'active' CHECK (status IN ('active', 'completed', 'archived', 'failed')),
    template_id TEXT CHECK (length(template_id) <= 255),
    configuration TEXT DEFAULT '{}' CHECK (configuration IS NULL OR json_valid(configuration)),
    metadata TEXT DEFAULT '{}' CHECK (metadata IS NULL OR json_valid(metadata)),
    real_progress REAL DEFAULT 0.0 CHECK (real_progress >= 0 AND real_progress <= 100),
    fake_progress REAL DEFAULT 0.0 CHECK (fake_progress >= 0 AND fake_progress <= 100),
    authenticity_rate REAL DEFAULT 100.0 CHECK (authenticity_rate >= 0 AND authenticity_rate <= 100),
    quality_score REAL DEFAULT 0.0 CHECK (quality_score >= 0 AND quality_score <= 100),
    created_at TEXT CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    updated_at TEXT CHECK (updated_at GLOB '????-??-??T??:??:??.??????Z'),
    completed_at TEXT CHECK (completed_at GLOB '????-??-??T??:??:??.??????Z'),
    archived_at TEXT NOT NULL CHECK (archived_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;

CREATE INDEX idx_projects_archive_user_id ON projects_archive(user_id);
CREATE INDEX idx_projects_archive_created_at ON projects_archive(created_at);
CREATE INDEX idx_projects_archive_updated_at ON projects_archive(updated_at);
CREATE INDEX idx_projects_archive_completed_at ON projects_archive(completed_at);
CREATE INDEX idx_projects_archive_archived_at ON projects_archive(archived_at);

CREATE TABLE tasks_archive (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    project_id TEXT NOT NULL REFERENCES projects_archive(id) ON DELETE CASCADE,
    name TEXT NOT NULL CHECK (length(name) <= 255),
    description TEXT,
    status TEXT DEFAULT 'pending' CHECK (status IN ('pending', 'in_progress', 'completed', 'failed', 'blocked')),
    priority TEXT DEFAULT 'medium' CHECK (priority IN ('low', 'medium', 'high', 'critical')),
    real_progress REAL DEFAULT 0.0 CHECK (real_progress >= 0 AND real_progress <= 100),
    fake_progress REAL DEFAULT 0.0 CHECK (fake_progress >= 0 AND fake_progress <= 100),
    authenticity_score REAL DEFAULT 100.0 CHECK (authenticity_score >= 0 AND authenticity_score <= 100),
    ai_prompt TEXT,
    expected_outputs TEXT DEFAULT '[]' CHECK (expected_outputs IS NULL OR json_valid(expected_outputs)),
    validation_criteria TEXT DEFAULT '{}' CHECK (validation_criteria IS NULL OR json_valid(validation_criteria)),
    estimated_duration INTEGER CHECK (estimated_duration BETWEEN -2147483648 AND 2147483647),
    actual_duration INTEGER CHECK (actual_duration BETWEEN -2147483648 AND 2147483647),
    created_at TEXT CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    updated_at TEXT CHECK (updated_at GLOB '????-??-??T??:??:??.??????Z'),
    completed_at TEXT CHECK (completed_at GLOB '????-??-??T??:??:??.??????Z'),
    added_position INTEGER NOT NULL
) STRICT;

CREATE INDEX idx_tasks_archive_project_id ON tasks_archive(project_id);
CREATE INDEX idx_tasks_archive_created_at ON tasks_archive(created_at);
CREATE INDEX idx_tasks_archive_updated_at ON tasks_archive(updated_at);
CREATE INDEX idx_tasks_archive_completed_at ON tasks_archive(completed_at);

CREATE TABLE task_dependencies_archive (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    task_id TEXT NOT NULL REFERENCES tasks_archive(id) ON DELETE CASCADE,
    depends_on_task_id TEXT NOT NULL REFERENCES tasks_archive(id) ON DELETE CASCADE,
    dependency_type TEXT DEFAULT 'blocks' CHECK (dependency_type IN ('blocks', 'requires', 'suggests')),
    created_at TEXT CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    UNIQUE(task_id, depends_on_task_id)
) STRICT;

CREATE INDEX idx_task_dependencies_archive_task_id ON task_dependencies_archive(task_id);
CREATE INDEX idx_task_dependencies_archive_depends_on_task_id ON task_dependencies_archive(depends_on_task_id);
CREATE INDEX idx_task_dependencies_archive_created_at ON task_dependencies_archive(created_at);

CREATE TABLE project_files_archive (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    project_id TEXT NOT NULL REFERENCES projects_archive(id) ON DELETE CASCADE,
    file_path TEXT NOT NULL CHECK (length(file_path) <= 1000),
    content TEXT,
    content_hash TEXT CHECK (length(content_hash) <= 64),
    size_bytes INTEGER DEFAULT 0 CHECK (size_bytes BETWEEN -2147483648 AND 2147483647),
    status TEXT DEFAULT 'created' CHECK (
        status IN ('created', 'modified', 'validated', 'failed_validation', 'deleted')
    ),
    validation_score REAL DEFAULT 0.0 CHECK (validation_score >= 0 AND validation_score <= 100),
    metadata TEXT DEFAULT '{}' CHECK (metadata IS NULL OR json_valid(metadata)),
    created_at TEXT CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    updated_at TEXT CHECK (updated_at GLOB '????-??-??T??:??:??.??????Z'),
    UNIQUE(project_id, file_path)
) STRICT;

CREATE INDEX idx_project_files_archive_project_id ON project_files_archive(project_id);
CREATE INDEX idx_project_files_archive_created_at ON project_files_archive(created_at);
CREATE INDEX idx_project_files_archive_updated_at ON project_files_archive(updated_at);

CREATE TABLE validation_reports_archive (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    project_id TEXT NOT NULL REFERENCES projects_archive(id) ON DELETE CASCADE,
    validation_type TEXT NOT NULL CHECK (validation_type IN ('quick', 'deep', 'comprehensive', 'scheduled')),
    overall_authenticity REAL CHECK (overall_authenticity >= 0 AND overall_authenticity <= 100),
    real_progress REAL CHECK (real_progress >= 0 AND real_progress <= 100),
    fake_progress REAL CHECK (fake_progress >= 0 AND fake_progress <= 100),
    quality_metrics TEXT DEFAULT '{}' CHECK (quality_metrics IS NULL OR json_valid(quality_metrics)),
    issues_summary TEXT DEFAULT '{}' CHECK (issues_summary IS NULL OR json_valid(issues_summary)),
    created_at TEXT CHECK (created_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;

CREATE INDEX idx_validation_reports_archive_project_id ON validation_reports_archive(project_id);
CREATE INDEX idx_validation_reports_archive_created_at ON validation_reports_archive(created_at);

CREATE TABLE validation_issues_archive (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    validation_report_id TEXT NOT NULL REFERENCES validation_reports_archive(id) ON DELETE CASCADE,
    task_id TEXT REFERENCES tasks_archive(id) ON DELETE SET NULL,
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

CREATE INDEX idx_validation_issues_archive_validation_report_id ON validation_issues_archive(validation_report_id);
CREATE INDEX idx_validation_issues_archive_task_id ON validation_issues_archive(task_id);
CREATE INDEX idx_validation_issues_archive_created_at ON validation_issues_archive(created_at);
CREATE INDEX idx_validation_issues_archive_resolved_at ON validation_issues_archive(resolved_at);

CREATE TABLE progress_metrics_archive (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    project_id TEXT NOT NULL REFERENCES projects_archive(id) ON DELETE CASCADE,
    metric_name TEXT NOT NULL CHECK (length(metric_name) <= 100),
    value REAL NOT NULL,
    metadata TEXT DEFAULT '{}' CHECK (metadata IS NULL OR json_valid(metadata)),
    recorded_at TEXT CHECK (recorded_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;

CREATE INDEX idx_progress_metrics_archive_project_id ON progress_metrics_archive(project_id);
CREATE INDEX idx_progress_metrics_archive_recorded_at ON progress_metrics_archive(recorded_at);

CREATE TABLE step_executions_archive (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    run_id TEXT NOT NULL CHECK (run_id GLOB '????????-????-????-????-????????????'),
    workflow_step_id TEXT NOT NULL REFERENCES workflow_steps(id) ON DELETE CASCADE,
    project_id TEXT NOT NULL REFERENCES projects_archive(id) ON DELETE CASCADE,
    status TEXT DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'completed', 'failed', 'skipped')),
    result_data TEXT DEFAULT '{}' CHECK (result_data IS NULL OR json_valid(result_data)),
    execution_metadata TEXT DEFAULT '{}' CHECK (execution_metadata IS NULL OR json_valid(execution_metadata)),
    started_at TEXT CHECK (started_at GLOB '????-??-??T??:??:??.??????Z'),
    completed_at TEXT CHECK (completed_at GLOB '????-??-??T??:??:??.??????Z'),
    UNIQUE(run_id, workflow_step_id)
) STRICT;

CREATE INDEX idx_step_executions_archive_workflow_step_id ON step_executions_archive(workflow_step_id);
CREATE INDEX idx_step_executions_archive_project_id ON step_executions_archive(project_id);
CREATE INDEX idx_step_executions_archive_started_at ON step_executions_archive(started_at);
CREATE INDEX idx_step_executions_archive_completed_at ON step_executions_archive(completed_at);

CREATE TABLE agent_assignments_archive (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    agent_id TEXT NOT NULL REFERENCES agents(id) ON DELETE CASCADE,
    task_id TEXT NOT NULL REFERENCES tasks_archive(id) ON DELETE CASCADE,
    status TEXT DEFAULT 'assigned' CHECK (status IN ('assigned', 'completed', 'released', 'failed')),
    assignment_metadata TEXT DEFAULT '{}' CHECK (assignment_metadata IS NULL OR json_valid(assignment_metadata)),
    assigned_at TEXT CHECK (assigned_at GLOB '????-??-??T??:??:??.??????Z'),
    completed_at TEXT CHECK (completed_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;

CREATE INDEX idx_agent_assignments_archive_agent_id ON agent_assignments_archive(agent_id);
CREATE INDEX idx_agent_assignments_archive_task_id ON agent_assignments_archive(task_id);
CREATE INDEX idx_agent_assignments_archive_assigned_at ON agent_assignments_archive(assigned_at);
CREATE INDEX idx_agent_assignments_archive_completed_at ON agent_assignments_archive(completed_at);

-- What retention did: one row for each table and rule, of what was older than the cutoff.
CREATE TABLE cleanup_log (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    table_name TEXT NOT NULL CHECK (length(table_name) <= 100),
    rows_deleted INTEGER NOT NULL CHECK (rows_deleted BETWEEN 0 AND 2147483647),
    cutoff TEXT CHECK (cutoff GLOB '????-??-??T??:??:??.??????Z'),
    cleanup_date TEXT CHECK (cleanup_date GLOB '????-??-??T??:??:??.??????Z')
) STRICT;

CREATE INDEX idx_cleanup_log_table_name ON cleanup_log(table_name);
CREATE INDEX idx_cleanup_log_cutoff ON cleanup_log(cutoff);
CREATE INDEX idx_cleanup_log_cleanup_date ON cleanup_log(cleanup_date);
