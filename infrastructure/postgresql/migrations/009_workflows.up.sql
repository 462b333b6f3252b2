-- Workflows, their steps, and what became of the steps in each run.

CREATE TABLE workflows (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    name VARCHAR(255) NOT NULL,
    description TEXT,
    template VARCHAR(255),
    configuration JSONB DEFAULT '{}',
    global_settings JSONB DEFAULT '{}',
    status VARCHAR(50) DEFAULT 'draft' CHECK (status IN ('draft', 'active', 'completed', 'failed', 'archived')),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW()
);

CREATE INDEX idx_workflows_name ON workflows(name);
CREATE INDEX idx_workflows_template ON workflows(template);
CREATE INDEX idx_workflows_status ON workflows(status);

CREATE TABLE workflow_steps (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    workflow_id UUID NOT NULL REFERENCES workflows(id) ON DELETE CASCADE,
    name VARCHAR(255) NOT NULL,
    type VARCHAR(100) NOT NULL CHECK (type IN ('ai_generation', 'validation', 'file_operation', 'external_command')),
    ai_prompt TEXT,
    dependencies JSONB DEFAULT '[]',
    validation_config JSONB DEFAULT '{}',
    step_order INTEGER NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW()
);

CREATE INDEX idx_workflow_steps_workflow_id ON workflow_steps(workflow_id);
CREATE INDEX idx_workflow_steps_step_order ON workflow_steps(workflow_id, step_order);
CREATE INDEX idx_workflow_steps_type ON workflow_steps(type);

-- The specification draws this table and does not define it. A run of a workflow has an id of its own, and each step
-- once; it is no table, so nothing is referenced. A step that is pending has not started.
CREATE TABLE step_executions (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    run_id UUID NOT NULL,
    workflow_step_id UUID NOT NULL REFERENCES workflow_steps(id) ON DELETE CASCADE,
    project_id UUID NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    status VARCHAR(50) DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'completed', 'failed', 'skipped')),
    result_data JSONB DEFAULT '{}',
    execution_metadata JSONB DEFAULT '{}',
    started_at TIMESTAMP WITH TIME ZONE,
    completed_at TIMESTAMP WITH TIME ZONE,
    UNIQUE(run_id, workflow_step_id)
);

CREATE INDEX idx_step_executions_workflow_step_id ON step_executions(workflow_step_id);
CREATE INDEX idx_step_executions_project_id ON step_executions(project_id);
CREATE INDEX idx_step_executions_status ON step_executions(status);
CREATE INDEX idx_step_executions_started_at ON step_executions(started_at);
CREATE INDEX idx_step_executions_completed_at ON step_executions(completed_at);
