DROP TABLE task_dependencies;
DROP TABLE tasks;
