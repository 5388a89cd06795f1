-- The SQL of this folder is what SQLite and PostgreSQL both take: no
-- AUTOINCREMENT or SERIAL, no types but TEXT and BIGINT.

-- +goose Up
CREATE TABLE runs (
    id         TEXT   NOT NULL PRIMARY KEY,
    number     BIGINT NOT NULL UNIQUE, -- counts from 1: the order of the runs, whatever their clocks said
    stack      TEXT   NOT NULL,
    engine     TEXT   NOT NULL,        -- the engine's ID
    started_at BIGINT NOT NULL,        -- nanoseconds since 1970, UTC
    ended_at   BIGINT NOT NULL,        -- likewise; 0 while no end is recorded
    verdict    TEXT   NOT NULL         -- '' while no end is recorded
);
CREATE INDEX runs_of_stack ON runs (stack, number);

CREATE TABLE events (
    run     TEXT   NOT NULL REFERENCES runs (id),
    seq     BIGINT NOT NULL,
    time    BIGINT NOT NULL, -- nanoseconds since 1970, UTC
    kind    TEXT   NOT NULL,
    step    TEXT   NOT NULL,
    outcome TEXT   NOT NULL,
    held    TEXT   NOT NULL, -- the exclusive volume of the container whose end this is; '' for all other events
    body    TEXT   NOT NULL, -- the whole event as JSON; the columns before are for finding it
    PRIMARY KEY (run, seq)
);
CREATE INDEX events_done ON events (run, step) WHERE kind = 'step.ended' AND outcome = 'done';
CREATE INDEX events_held ON events (run, held) WHERE held <> '';

-- An outcome that was forgotten: the event stays, but it counts no more.
CREATE TABLE forgotten (
    run  TEXT   NOT NULL,
    seq  BIGINT NOT NULL,
    PRIMARY KEY (run, seq),
    FOREIGN KEY (run, seq) REFERENCES events (run, seq)
);

-- +goose Down
DROP TABLE forgotten;
DROP TABLE events;
DROP TABLE runs;
