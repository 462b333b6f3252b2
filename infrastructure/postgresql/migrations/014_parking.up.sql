-- What the projector could not project and keeps waiting, and what is left out of the tables for good.
CREATE TABLE parked_units (
    unit_id UUID PRIMARY KEY,
    kind VARCHAR(50) NOT NULL,
    position BIGINT NOT NULL, -- of the first event that waits
    topic TEXT NOT NULL, -- its topic
    reason TEXT NOT NULL,
    behind UUID, -- the unit that it waits for; NULL where its own event could not be projected
    since TIMESTAMP WITH TIME ZONE NOT NULL,
    retry BOOLEAN NOT NULL -- somebody has asked for it
);

CREATE TABLE left_out_events (
    id UUID PRIMARY KEY, -- of the event that discarded them
    unit_id UUID NOT NULL,
    first_position BIGINT NOT NULL,
    last_position BIGINT NOT NULL
);
