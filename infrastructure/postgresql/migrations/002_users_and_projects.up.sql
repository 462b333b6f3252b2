-- Users and their projects.

CREATE TABLE users (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    username VARCHAR(255) UNIQUE NOT NULL,
    email VARCHAR(255) UNIQUE NOT NULL,
    password_hash VARCHAR(255) NOT NULL,
    role VARCHAR(50) DEFAULT 'developer' CHECK (role IN ('admin', 'developer', 'viewer')),
    preferences JSONB DEFAULT '{}',
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    last_login TIMESTAMP WITH TIME ZONE,
    is_active BOOLEAN DEFAULT true
);

CREATE INDEX idx_users_email ON users(email);
CREATE INDEX idx_users_username ON users(username);
CREATE INDEX idx_users_role ON users(role);
CREATE INDEX idx_users_last_login ON users(last_login);

CREATE TABLE projects (
    id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id UUID NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    name VARCHAR(255) NOT NULL,
    description TEXT,
    status VARCHAR(50) DEFAULT 'active' CHECK (status IN ('active', 'completed', 'archived', 'failed')),
    template_id VARCHAR(255), -- the template's id as text: by this type no foreign key is possible
    configuration JSONB DEFAULT '{}',
    metadata JSONB DEFAULT '{}',
    real_progress FLOAT DEFAULT 0.0 CHECK (real_progress >= 0 AND real_progress <= 100),
    fake_progress FLOAT DEFAULT 0.0 CHECK (fake_progress >= 0 AND fake_progress <= 100),
    authenticity_rate FLOAT DEFAULT 100.0 CHECK (authenticity_rate >= 0 AND authenticity_rate <= 100),
    quality_score FLOAT DEFAULT 0.0 CHECK (quality_score >= 0 AND quality_score <= 100),
    created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    completed_at TIMESTAMP WITH TIME ZONE
);

CREATE INDEX idx_projects_user_id ON projects(user_id);
CREATE INDEX idx_projects_status ON projects(status);
CREATE INDEX idx_projects_created_at ON projects(created_at);
CREATE INDEX idx_projects_real_progress ON projects(real_progress);
CREATE INDEX idx_projects_authenticity_rate ON projects(authenticity_rate);
CREATE INDEX idx_projects_active ON projects(user_id, updated_at DESC) WHERE status = 'active';
CREATE INDEX idx_projects_list_covering ON projects(user_id, status) INCLUDE (name, real_progress, updated_at);
-- Beyond the specification: the listing of all projects, the one that changed last first.
CREATE INDEX idx_projects_updated_at ON projects(updated_at DESC, id);
CREATE INDEX idx_projects_search ON projects
    USING gin(to_tsvector('english', name || ' ' || COALESCE(description, '')));
