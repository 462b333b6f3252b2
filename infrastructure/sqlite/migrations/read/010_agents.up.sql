-- Agents, the tasks they were given, and their numbers, in SQLite's terms.

CREATE TABLE agents (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    agent_type TEXT NOT NULL CHECK (
        agent_type IN (
            'backend-developer', 'frontend-developer', 'tester', 'reviewer', 'architect', 'coordinator', 'analyst'
        )
    ),
    name TEXT CHECK (length(name) <= 255),
    capabilities TEXT DEFAULT '[]' CHECK (capabilities IS NULL OR json_valid(capabilities)),
    status TEXT DEFAULT 'idle' CHECK (status IN ('idle', 'busy', 'offline', 'error')),
    configuration TEXT DEFAULT '{}' CHECK (configuration IS NULL OR json_valid(configuration)),
    coordination_hooks TEXT DEFAULT '{}' CHECK (coordination_hooks IS NULL OR json_valid(coordination_hooks)),
    created_at TEXT CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    updated_at TEXT CHECK (updated_at GLOB '????-??-??T??:??:??.??????Z'),
    last_active TEXT CHECK (last_active GLOB '????-??-??T??:??:??.??????Z')
) STRICT;

CREATE INDEX idx_agents_type ON agents(agent_type);
CREATE INDEX idx_agents_status ON agents(status);
CREATE INDEX idx_agents_last_active ON agents(last_active);
CREATE INDEX idx_agents_available ON agents(agent_type, capabilities) WHERE status = 'idle';

-- The specification draws this table and the next, and does not define them.
CREATE TABLE agent_assignments (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    agent_id TEXT NOT NULL REFERENCES agents(id) ON DELETE CASCADE,
    task_id TEXT NOT NULL REFERENCES tasks(id) ON DELETE CASCADE,
    status TEXT DEFAULT 'assigned' CHECK (status IN ('assigned', 'completed', 'released', 'failed')),
    assignment_metadata TEXT DEFAULT '{}' CHECK (assignment_metadata IS NULL OR json_valid(assignment_metadata)),
    assigned_at TEXT CHECK (assigned_at GLOB '????-??-??T??:??:??.??????Z'),
    completed_at TEXT CHECK (completed_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;

CREATE INDEX idx_agent_assignments_agent_id ON agent_assignments(agent_id);
CREATE INDEX idx_agent_assignments_task_id ON agent_assignments(task_id);
CREATE INDEX idx_agent_assignments_status ON agent_assignments(status);
CREATE INDEX idx_agent_assignments_assigned_at ON agent_assignments(assigned_at);
CREATE INDEX idx_agent_assignments_completed_at ON agent_assignments(completed_at);

CREATE TABLE agent_metrics (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    agent_id TEXT NOT NULL REFERENCES agents(id) ON DELETE CASCADE,
    metric_type TEXT NOT NULL CHECK (length(metric_type) <= 100),
    value REAL NOT NULL,
    metadata TEXT DEFAULT '{}' CHECK (metadata IS NULL OR json_valid(metadata)),
    recorded_at TEXT CHECK (recorded_at GLOB '????-??-??T??:??:??.??????Z')
) STRICT;

CREATE INDEX idx_agent_metrics_agent_id ON agent_metrics(agent_id);
CREATE INDEX idx_agent_metrics_metric_type ON agent_metrics(metric_type);
CREATE INDEX idx_agent_metrics_recorded_at ON agent_metrics(recorded_at);
CREATE INDEX idx_agent_metrics_agent_type_time ON agent_metrics(agent_id, metric_type, recorded_at);

-- The running state beside them: an agent's status, and the metadata of the assignment that it holds.
CREATE TABLE agent_state (
    agent_id TEXT PRIMARY KEY,
    status TEXT NOT NULL,
    assignment_metadata TEXT
) STRICT;
