-- The files of projects. The domain holds a path to 2,000 bytes in UTF-8: a longer key does not fit its indexes.

CREATE TABLE project_files (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    project_id UUID NOT NULL REFERENCES projects(id) ON DELETE CASCADE,
    file_path VARCHAR(1000) NOT NULL,
    content TEXT,
    content_hash VARCHAR(64),
    size_bytes INTEGER DEFAULT 0,
    status VARCHAR(50) DEFAULT 'created' CHECK (
        status IN ('created', 'modified', 'validated', 'failed_validation', 'deleted')
    ),
    validation_score FLOAT DEFAULT 0.0 CHECK (validation_score >= 0 AND validation_score <= 100),
    metadata JSONB DEFAULT '{}',
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    UNIQUE(project_id, file_path)
);

CREATE INDEX idx_project_files_project_id ON project_files(project_id);
CREATE INDEX idx_project_files_file_path ON project_files(file_path);
CREATE INDEX idx_project_files_status ON project_files(status);
CREATE INDEX idx_project_files_validation_score ON project_files(validation_score);
CREATE INDEX idx_project_files_updated_at ON project_files(updated_at);
CREATE INDEX idx_files_project_status_updated ON project_files(project_id, status, updated_at DESC);
-- Not the specification's whole content: a tsvector holds less than 1 MiB, and a file that does not fit could not be
-- stored. The first 65,536 characters always fit. A character stands in at most two lexemes (of a compound, the whole
-- and the part) with at most 4 bytes in each; what a lexeme costs besides (5 bytes) comes at most once a character, of
-- one-letter words, or three times in the shortest compound. So 16 bytes a character are never reached.
-- A query uses this index only if it has the same expression.
CREATE INDEX idx_project_files_content_search ON project_files USING gin(to_tsvector('english', left(content, 65536)));
