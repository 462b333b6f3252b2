-- Tasks and what they wait for, in SQLite's terms.

CREATE TABLE tasks (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    project_id TEXT NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
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
    estimated_duration INTEGER CHECK (estimated_duration BETWEEN -2147483648 AND 2147483647), -- in minutes
    actual_duration INTEGER CHECK (actual_duration BETWEEN -2147483648 AND 2147483647), -- in minutes
    created_at TEXT CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    updated_at TEXT CHECK (updated_at GLOB '????-??-??T??:??:??.??????Z'),
    completed_at TEXT CHECK (completed_at GLOB '????-??-??T??:??:??.??????Z'),
    -- Beyond the specification: the position of the task's AddTask event. Times repeat; this is the order of adding.
    added_position INTEGER NOT NULL
) STRICT;

CREATE INDEX idx_tasks_project_id ON tasks(project_id);
CREATE INDEX idx_tasks_status ON tasks(status);
CREATE INDEX idx_tasks_priority ON tasks(priority);
CREATE INDEX idx_tasks_real_progress ON tasks(real_progress);
CREATE INDEX idx_tasks_authenticity_score ON tasks(authenticity_score);
CREATE INDEX idx_tasks_created_at ON tasks(created_at);
CREATE INDEX idx_tasks_project_status_priority ON tasks(project_id, status, priority);
-- Not the specification's "priority DESC": as text that sorts medium, low, high, critical. A query uses this order
-- only if it has the same CASE, and the status as a literal, not as a parameter. The condition is an OR and not an IN
-- because SQLite sees that status = 'pending' implies the OR, and does not see it of the IN.
CREATE INDEX idx_tasks_incomplete ON tasks(
    project_id,
    (CASE priority WHEN 'critical' THEN 1 WHEN 'high' THEN 2 WHEN 'medium' THEN 3 ELSE 4 END),
    created_at,
    added_position
) WHERE status = 'pending' OR status = 'in_progress';
-- SQLite has no INCLUDE: the covered columns trail.
CREATE INDEX idx_tasks_summary_covering ON tasks(project_id, status, name, priority, real_progress);

CREATE TABLE task_dependencies (
    id TEXT NOT NULL PRIMARY KEY CHECK (id GLOB '????????-????-????-????-????????????'),
    task_id TEXT NOT NULL REFERENCES tasks(id) ON DELETE CASCADE,
    depends_on_task_id TEXT NOT NULL REFERENCES tasks(id) ON DELETE CASCADE,
    dependency_type TEXT DEFAULT 'blocks' CHECK (dependency_type IN ('blocks', 'requires', 'suggests')),
    created_at TEXT CHECK (created_at GLOB '????-??-??T??:??:??.??????Z'),
    UNIQUE(task_id, depends_on_task_id)
) STRICT;

CREATE INDEX idx_task_dependencies_task_id ON task_dependencies(task_id);
CREATE INDEX idx_task_dependencies_depends_on ON task_dependencies(depends_on_task_id);

-- The second wall; the first is the domain's decision. The specification's function lets self loops and cycles of
-- three and more pass. A new edge closes a cycle if the task it leads to already depends, over any number of steps, on
-- the task it starts from. UNION, not UNION ALL: every task is visited once, however many paths lead to it. The first
-- EXISTS spares the walk where nothing can be found: a chain costs the same per edge from whichever end it is built.
-- SQLite takes WITH inside a trigger in a subquery only, so the walk stands in WHEN.
CREATE TRIGGER trigger_check_circular_dependency BEFORE INSERT ON task_dependencies
WHEN NEW.task_id = NEW.depends_on_task_id OR (
    EXISTS (SELECT 1 FROM task_dependencies WHERE task_id = NEW.depends_on_task_id AND id <> NEW.id)
    AND EXISTS (
        WITH RECURSIVE dependents(task_id) AS (
            SELECT NEW.task_id
            UNION
            SELECT td.task_id
            FROM dependents d
            JOIN task_dependencies td ON td.depends_on_task_id = d.task_id
            WHERE td.id <> NEW.id
        )
        SELECT 1 FROM dependents WHERE task_id = NEW.depends_on_task_id
    )
)
BEGIN
    SELECT RAISE(ABORT, 'Circular dependency detected');
END;

-- The specification guards INSERT alone; an UPDATE can close a cycle too. SQLite wants a trigger for each.
CREATE TRIGGER trigger_check_circular_dependency_update BEFORE UPDATE OF task_id, depends_on_task_id
ON task_dependencies
WHEN NEW.task_id = NEW.depends_on_task_id OR (
    EXISTS (SELECT 1 FROM task_dependencies WHERE task_id = NEW.depends_on_task_id AND id <> NEW.id)
    AND EXISTS (
        WITH RECURSIVE dependents(task_id) AS (
            SELECT NEW.task_id
            UNION
            SELECT td.task_id
            FROM dependents d
            JOIN task_dependencies td ON td.depends_on_task_id = d.task_id
            WHERE td.id <> NEW.id
        )
        SELECT 1 FROM dependents WHERE task_id = NEW.depends_on_task_id
    )
)
BEGIN
    SELECT RAISE(ABORT, 'Circular dependency detected');
END;
