-- +goose Up

-- Who is at work. What a holder holds is free once its row is gone.
CREATE TABLE holders (
    id      TEXT   NOT NULL PRIMARY KEY,
    name    TEXT   NOT NULL, -- for people
    process TEXT   NOT NULL, -- by which others on its host see whether it lives; '' where nobody can
    beat    BIGINT NOT NULL  -- counts its signs of life
);
CREATE TABLE locks (
    name   TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL
);
-- What was done once, by one.
CREATE TABLE marks (
    name TEXT   NOT NULL PRIMARY KEY,
    time BIGINT NOT NULL -- nanoseconds since 1970, UTC
);

-- The versions that a deployment has had, or is on its way to: the last one.
CREATE TABLE versions (
    stack   TEXT   NOT NULL,
    engine  TEXT   NOT NULL, -- '' of a program that is no stack
    number  BIGINT NOT NULL, -- counts from 1
    version TEXT   NOT NULL, -- 1.5.0 or, with a count of entries, 1.5.0+3
    state   TEXT   NOT NULL, -- created, ready
    time    BIGINT NOT NULL, -- of the state
    PRIMARY KEY (stack, engine, number)
);
-- The steps that led, or lead, to a version.
CREATE TABLE upgrade_steps (
    stack        TEXT   NOT NULL,
    engine       TEXT   NOT NULL,
    number       BIGINT NOT NULL, -- of the version
    step         BIGINT NOT NULL, -- from 0
    to_version   TEXT   NOT NULL,
    from_version TEXT   NOT NULL,
    state        TEXT   NOT NULL, -- created, prepared, upgrading_tenants, ready
    holder       TEXT   NOT NULL, -- of its work before the tenants; '' for none
    slot         BIGINT NOT NULL, -- which of the holder's workers
    PRIMARY KEY (stack, engine, number, step)
);
CREATE TABLE upgrade_batches (
    stack  TEXT   NOT NULL,
    engine TEXT   NOT NULL,
    number BIGINT NOT NULL,
    step   BIGINT NOT NULL,
    batch  BIGINT NOT NULL, -- from 0
    state  TEXT   NOT NULL, -- pending, ready
    holder TEXT   NOT NULL,
    slot   BIGINT NOT NULL,
    PRIMARY KEY (stack, engine, number, step, batch)
);
CREATE INDEX upgrade_batches_left ON upgrade_batches (stack, engine, number, step, batch) WHERE state = 'pending';
CREATE TABLE upgrade_tenants (
    stack    TEXT   NOT NULL,
    engine   TEXT   NOT NULL,
    number   BIGINT NOT NULL,
    step     BIGINT NOT NULL,
    tenant   TEXT   NOT NULL,
    batch    BIGINT NOT NULL,
    position BIGINT NOT NULL, -- in the list
    state    TEXT   NOT NULL, -- pending, ready, set_aside, deleted
    attempts BIGINT NOT NULL, -- that have failed
    error    TEXT   NOT NULL, -- of the last one
    time     BIGINT NOT NULL, -- of the state
    PRIMARY KEY (stack, engine, number, step, tenant)
);
CREATE INDEX upgrade_tenants_of_batch ON upgrade_tenants (stack, engine, number, step, batch, position);

-- +goose Down
DROP TABLE upgrade_tenants;
DROP TABLE upgrade_batches;
DROP TABLE upgrade_steps;
DROP TABLE versions;
DROP TABLE marks;
DROP TABLE locks;
DROP TABLE holders;
