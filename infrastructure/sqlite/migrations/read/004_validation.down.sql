DROP TABLE validation_issues;
DROP TABLE validation_reports;
