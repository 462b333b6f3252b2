"""What fields, settings and columns mean, where the code's own names do not say all of it. Nothing here may be stale:
a name that is missing, or that nothing has any more, fails the tests."""

from __future__ import annotations

from claude_tiu.domain import blueprint, session, template, user, values, workflow

MIB = 1 << 20

TYPES: dict[str, tuple[object, str]] = {
    "Name": (values.Name, "1 to 255 characters of text"),
    "Username": (user.Username, "a Name that does not begin with `forgotten:`; unique in the whole store"),
    "Email": (user.Email, "a Username with an `@` and no blanks; unique in the whole store"),
    "PasswordHash": (
        user.PasswordHash,
        "a PHC or modular-crypt string of at most 255 characters: those of bcrypt, scrypt, "
        "argon2, pbkdf2 and crypt(3), or any with parameters, salt and hash",
    ),
    "TokenHash": (session.TokenHash, "32 to 255 visible ASCII characters"),
    "MetricName": (values.MetricName, "1 to 100 characters of text"),
    "LongText": (values.LongText, f"text of at most {values.MAX_TEXT_BYTES // MIB} MiB in UTF-8"),
    "FilePath": (
        values.FilePath,
        f"1 to 1,000 characters of text, at most {values.MAX_FILE_PATH_BYTES:,} bytes in UTF-8",
    ),
    "Identifier": (
        values.Identifier,
        "1 to 255 letters, digits and `. _ : / -`, beginning with a letter or digit; a UUID is taken as its text",
    ),
    "FileText": (
        values.FileText,
        f"text of at most {values.MAX_CONTENT_BYTES // MIB} MiB in UTF-8; of more, give the hash and the size alone",
    ),
    "Sha256": (values.Sha256, "64 hex digits; held in lower case"),
    "SizeInBytes": (values.SizeInBytes, "a whole number, 0 to 2147483647"),
    "Flag": (values.Flag, "true or false"),
    "Minutes": (values.Minutes, "a whole number of minutes, 1 to 2147483647"),
    "LineNumber": (values.LineNumber, "a whole number, 1 to 2147483647"),
    "Version": (values.Version, "a whole number, 0 to 2147483647"),
    "Percent": (values.Percent, "a number from 0 to 100, rounded to 6 decimals (half to even)"),
    "Number": (values.Number, "a finite number"),
    "Timestamp": (
        values.Timestamp,
        f"a time with an offset, in ISO 8601, in the years {values.EARLIEST_YEAR} to {values.LATEST_YEAR}",
    ),
    "JsonObject": (
        values.JsonObject,
        f"a JSON object of at most {values.MAX_JSON_BYTES // MIB} MiB and {values.MAX_JSON_DEPTH} levels; "
        "numbers are below 2^53 in size",
    ),
    "JsonArray": (values.JsonArray, "a JSON array, with the bounds of a JsonObject"),
    "StepOrder": (workflow.StepOrder, "a whole number, 0 to 2147483647"),
    "StepIds": (workflow.StepIds, f"at most {workflow.MAX_STEP_DEPENDENCIES} UUIDs, each once"),
    "Category": (template.Category, "1 to 100 characters of text"),
    "Structure": (
        blueprint.Structure,
        '`{"tasks": [{"key", "name", …, "depends_on": [keys]}]}`: the fields of AddTask and a key of its own; '
        f"at most {blueprint.MAX_TASKS:,} tasks, no cycle among them (`tiu schema CreateTemplate` has all of it)",
    ),
    "WorkflowTemplate": (
        blueprint.WorkflowTemplate,
        '`{"name", …, "steps": [{"key", "name", "type", …, "depends_on": [keys]}]}`: the fields of CreateWorkflow and '
        f"AddStep and a key of its own; 1 to {workflow.MAX_STEPS} steps, no cycle among them",
    ),
}
"""name -> (the annotation, what it takes)."""

FIELDS: dict[str, str] = {
    "command_id": "makes a retry safe: the same id returns the first answer; made where it is left out",
    "actor": "who asks; an id, not a name",
    "correlation_id": "what this belongs to",
    "causation_id": "what this follows from",
    "occurred_at": "when what the command tells of happened; default: now",
    "expected_version": "refuse the command unless the stream is at this version",
    "user_id": "the user",
    "username": "personal: stored encrypted, repeated by no error",
    "email": "personal: stored encrypted, repeated by no error",
    "password_hash": "personal: stored encrypted, repeated by no error",
    "session_id": "the session",
    "token_hash": "a hash of the session's token, never the token; personal, as a password hash is",
    "expires_at": "when the session is over, unless it is ended before",
    "role": "for the embedding service to authorise by; the core does not",
    "preferences": "the caller's own, and nothing personal: stored in clear, kept when the user is forgotten",
    "project_id": "the project",
    "name": "what people call it",
    "description": "in words",
    "configuration": "the caller's own",
    "metadata": "the caller's own; personal in a session, and in clear everywhere else",
    "reason": "in words",
    "metric_name": "any name but the four that the core computes",
    "value": "the metric's value",
    "task_id": "the task",
    "priority": "which of the ready tasks comes first",
    "ai_prompt": "what an agent is told",
    "expected_outputs": "what the task should make",
    "validation_criteria": "what a validation run should look at",
    "estimated_duration": "how long the task should take: its weight in the project's numbers (1 where none is given)",
    "claimed": "how much of the task is done, as its agent says (percent)",
    "depends_on_task_id": "the task that is waited for",
    "dependency_type": "`blocks` and `requires` keep the task from starting, `suggests` does not",
    "run_id": "the validation run",
    "validation_type": "how thorough the run is",
    "authenticity": "how much of what is claimed of the task is real (percent)",
    "issue_id": "the issue; unique in the whole store",
    "issue_type": "what is wrong",
    "severity": "how wrong it is",
    "file_path": "where it is: the file's path in its project, as it is given",
    "content": "the file's text",
    "content_hash": "SHA-256 of the content; computed where `content` is given",
    "size_bytes": "the content's size in bytes; computed where `content` is given",
    "content_zlib": "the file's text in UTF-8, compressed by zlib, in base64; null where there is only a hash",
    "validation_score": "how well the file passed its validation (percent)",
    "line_number": "where in the file",
    "auto_fix_available": "whether a program can mend it",
    "suggested_fix": "how it could be mended",
    "quality_score": "the project's quality as the run found it (percent)",
    "quality_metrics": "any other metrics of the run; `quality_score` is not among them",
    "workflow_id": "the workflow",
    "template": "the caller's own name of what it was made from",
    "global_settings": "the caller's own",
    "step_id": "the step; unique in the whole store",
    "type": "what kind of work it is",
    "depends_on": "the steps that must be completed before it starts; they were added before it",
    "validation_config": "how what it makes is to be validated: the caller's own",
    "step_order": "its place among the steps; default: behind all steps so far",
    "workflow_run_id": "the run of a workflow",
    "steps": "step -> the steps that it depends on",
    "result_data": "what the step made: the caller's own",
    "execution_metadata": "how it went: the caller's own; `reason` is not among it",
    "skipped": "the steps that were not finished, and never will be",
    "template_id": "the template",
    "category": "what it is listed under",
    "structure": "the tasks of a project made from it, with every field of the form",
    "default_config": "the configuration of a project made from it",
    "workflow_template": "the workflow of a project made from it, with every field of the form",
    "is_public": "whether everybody may create projects from it, or its owner alone",
    "created_by": "the user who made it, and owns it; required unless it is public",
    "assessments": "task -> its authenticity (percent)",
}

SETTINGS: dict[str, str] = {
    "db_host": "the PostgreSQL server; where it is set, and no URL is given, PostgreSQL is used",
    "db_port": "its port",
    "db_name": "its database",
    "db_user": "the role",
    "db_password": "the role's password; never shown",
    "sqlite_path": "the file of events on SQLite, where no URL is given and DB_HOST is not set",
    "sqlite_timeout": "seconds to wait for a locked SQLite file",
    "pool_size": "PostgreSQL connections of a process at most, its listener's not counted",
    "pool_timeout": "seconds to wait for a connection of the pool",
    "pool_recycle": "seconds after which a connection is made anew",
}

TABLES: dict[str, str] = {
    "users": "Who owns projects. Of a forgotten user `forgotten:` and the id stand for name and email, `!` for the "
    "password hash. `last_login` is the start of the last session.",
    "projects": "One row a project, with its numbers as they are now.",
    "tasks": "One row a task. `added_position` is the position of the event that added it: times can repeat.",
    "task_dependencies": "Which task waits for which.",
    "validation_reports": "One row a completed validation run, with the project's numbers as they were after it.",
    "validation_issues": "What completed runs found.",
    "progress_metrics": "One row each time a number of a project changes, and one for each recorded metric; order by "
    "`recorded_at`, then by `seq` in `metadata`.",
    "user_sessions": "Sessions of users, by the hash of their token; the row of one that was ended is gone.",
    "project_files": "One row a file. A deleted file's row stays, without the content, and is revived where the file "
    "is created again. `content` is NULL, too, of what is known by hash and size alone.",
    "agents": "Who works, at what, and whether free.",
    "agent_assignments": "Which agent was given which task, and how that ended.",
    "agent_metrics": "Numbers recorded of agents.",
    "cleanup_log": "What retention did: how many rows of which table were older than the cutoff.",
    "projects_archive": "Projects that were archived; they come back when they are restored.",
    "tasks_archive": "Rows of `tasks` whose project is archived.",
    "task_dependencies_archive": "Rows of `task_dependencies` whose project is archived.",
    "project_files_archive": "Rows of `project_files` whose project is archived; the text search does not find them.",
    "validation_reports_archive": "Rows of `validation_reports` whose project is archived.",
    "validation_issues_archive": "Rows of `validation_issues` whose project is archived.",
    "progress_metrics_archive": "Rows of `progress_metrics` whose project is archived.",
    "step_executions_archive": "Rows of `step_executions` whose project is archived.",
    "agent_assignments_archive": "Rows of `agent_assignments` whose project is archived.",
    "templates": "What projects can be created from; `projects.template_id` holds an id of them as text.",
    "workflows": "Definitions of workflows; `status` is never `completed` or `failed`: runs are.",
    "workflow_steps": "Their steps; `dependencies` holds the ids of the steps that must be completed before.",
    "step_executions": "One row for each step of each workflow run, from the run's start. `completed_at` is when the "
    "step was completed or failed; why it failed is `reason` in `execution_metadata`.",
    "project_state": "A project's exact sums, and how many metric rows it has.",
    "task_state": "A task's exact numbers, and how long it has been worked on.",
    "run_state": "Validation runs that are not completed or failed.",
    "staged_issues": "Issues of such runs.",
}
