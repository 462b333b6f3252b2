-- Workflows, their steps, and what became of the steps in each run, in SQLite's terms.

CREATE TABLE workflows (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    name TEXT NOT NULL CHECK (length(name) <= 255),
    description TEXT,
    template TEXT CHECK (length(template) <= 255),
    configuration TEXT DEFAULT '{}' CHECK (configuration IS NULL OR json_valid(configuration)),
    global_settings TEXT DEFAULT '{}' CHECK (global_settings IS NULL OR json_valid(global_settings)),
    status TEXT DEFAULT 'draft' CHECK (status IN ('draft', 'active', 'completed', 'failed', 'archived')),
    created_at TEXT CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    updated_at TEXT CHECK (updated_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;

CREATE INDEX idx_workflows_name ON workflows(name);
CREATE INDEX idx_workflows_template ON workflows(template);
CREATE INDEX idx_workflows_status ON workflows(status);

CREATE TABLE workflow_steps (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    workflow_id TEXT NOT NULL REFERENCES workflows(id) ON DELETE CASCADE,
    name TEXT NOT NULL CHECK (length(name) <= 255),
    type TEXT NOT NULL CHECK (type IN ('ai_generation', 'validation', 'file_operation', 'external_command')),
    ai_prompt TEXT,
    dependencies TEXT DEFAULT '[]' CHECK (dependencies IS NULL OR json_valid(dependencies)),
    validation_config TEXT DEFAULT '{}' CHECK (validation_config IS NULL OR json_valid(validation_config)),
    step_order INTEGER NOT NULL CHECK (step_order BETWEEN -2147483648 AND 2147483647),
    created_at TEXT CHECK (created_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;

CREATE INDEX idx_workflow_steps_workflow_id ON workflow_steps(workflow_id);
CREATE INDEX idx_workflow_steps_step_order ON workflow_steps(workflow_id, step_order);
CREATE INDEX idx_workflow_steps_type ON workflow_steps(type);

-- The specification draws this table and does not define it. A run of a workflow has an id of its own, and each step
-- once; it is no table, so nothing is referenced. A step that is pending has not started.
CREATE TABLE step_executions (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    run_id TEXT NOT NULL CHECK (run_id GLOB '????????-????-????-????-????????????'),
    workflow_step_id TEXT NOT NULL REFERENCES workflow_steps(id) ON DELETE CASCADE,
    project_id TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    status TEXT DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'completed', 'failed', 'skipped')),
    result_data TEXT DEFAULT '{}' CHECK (result_data IS NULL OR json_valid(result_data)),
    execution_metadata TEXT DEFAULT '{}' CHECK (execution_metadata IS NULL OR json_valid(execution_metadata)),
    started_at TEXT CHECK (started_at GLOB '????-??-??T??:??:??.??????Z'),
    completed_at TEXT CHECK (completed_at GLOB '????-??-??T??:??:??.??????Z'),
    UNIQUE(run_id, workflow_step_id)
) STRICT;

CREATE INDEX idx_step_executions_workflow_step_id ON step_executions(workflow_step_id);
CREATE INDEX idx_step_executions_project_id ON step_executions(project_id);
CREATE INDEX idx_step_executions_status ON step_executions(status);
CREATE INDEX idx_step_executions_started_at ON step_executions(started_at);
CREATE INDEX idx_step_executions_completed_at ON step_executions(completed_at);
