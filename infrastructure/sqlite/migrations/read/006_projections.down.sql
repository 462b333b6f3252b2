DROP TABLE staged_issues;
DROP TABLE run_state;
DROP TABLE task_state;
DROP TABLE project_state;
DROP TABLE checkpoints;
