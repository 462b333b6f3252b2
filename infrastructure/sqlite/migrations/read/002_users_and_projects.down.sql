DROP TABLE idx_projects_search;
DROP VIEW projects_search_text;
DROP TABLE projects;
DROP TABLE projects_search_ids;
DROP TABLE users;
