-- Agents, the tasks they were given, and their numbers.

CREATE TABLE agents (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    agent_type VARCHAR(100) NOT NULL CHECK (
        agent_type IN (
            'backend-developer', 'frontend-developer', 'tester', 'reviewer', 'architect', 'coordinator', 'analyst'
        )
    ),
    name VARCHAR(255),
    capabilities JSONB DEFAULT '[]',
    status VARCHAR(50) DEFAULT 'idle' CHECK (status IN ('idle', 'busy', 'offline', 'error')),
    configuration JSONB DEFAULT '{}',
    coordination_hooks JSONB DEFAULT '{}',
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    last_active TIMESTAMP WITH TIME ZONE DEFAULT NOW()
);

CREATE INDEX idx_agents_type ON agents(agent_type);
CREATE INDEX idx_agents_status ON agents(status);
CREATE INDEX idx_agents_last_active ON agents(last_active);
-- The domain holds capabilities to 2,000 bytes as JSON: a longer key does not fit.
CREATE INDEX idx_agents_available ON agents(agent_type, capabilities) WHERE status = 'idle';

-- The specification draws this table and the next, and does not define them.
CREATE TABLE agent_assignments (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    agent_id UUID NOT NULL REFERENCES agents(id) ON DELETE CASCADE,
    task_id UUID NOT NULL REFERENCES tasks(id) ON DELETE CASCADE,
    status VARCHAR(50) DEFAULT 'assigned' CHECK (status IN ('assigned', 'completed', 'released', 'failed')),
    assignment_metadata JSONB DEFAULT '{}',
    assigned_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    completed_at TIMESTAMP WITH TIME ZONE
);

CREATE INDEX idx_agent_assignments_agent_id ON agent_assignments(agent_id);
CREATE INDEX idx_agent_assignments_task_id ON agent_assignments(task_id);
CREATE INDEX idx_agent_assignments_status ON agent_assignments(status);
CREATE INDEX idx_agent_assignments_assigned_at ON agent_assignments(assigned_at);
CREATE INDEX idx_agent_assignments_completed_at ON agent_assignments(completed_at);

CREATE TABLE agent_metrics (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    agent_id UUID NOT NULL REFERENCES agents(id) ON DELETE CASCADE,
    metric_type VARCHAR(100) NOT NULL,
    value FLOAT NOT NULL,
    metadata JSONB DEFAULT '{}',
    recorded_at TIMESTAMP WITH TIME ZONE DEFAULT NOW()
);

CREATE INDEX idx_agent_metrics_agent_id ON agent_metrics(agent_id);
CREATE INDEX idx_agent_metrics_metric_type ON agent_metrics(metric_type);
CREATE INDEX idx_agent_metrics_recorded_at ON agent_metrics(recorded_at);
CREATE INDEX idx_agent_metrics_agent_type_time ON agent_metrics(agent_id, metric_type, recorded_at);

-- The running state beside them: an agent's status, and the metadata of the assignment that it holds.
CREATE TABLE agent_state (
    agent_id UUID PRIMARY KEY,
    status VARCHAR(50) NOT NULL,
    assignment_metadata JSONB
);
