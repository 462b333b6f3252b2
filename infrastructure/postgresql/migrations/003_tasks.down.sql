DROP TABLE task_dependencies;
DROP FUNCTION check_circular_dependency();
DROP TABLE tasks;
