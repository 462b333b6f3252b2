DROP TABLE progress_metrics;
