-- The hive schema: what a HAF instance offers to its apps. Every statement may
-- be repeated, and all of them run in one transaction at each start.

CREATE SCHEMA IF NOT EXISTS hive;

DO $$ BEGIN
    CREATE TYPE hive.sync_state AS ENUM ('START', 'WAIT', 'REINDEX_WAIT', 'REINDEX', 'P2P', 'LIVE');
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;

-- The chain that this instance follows; fixed when its replay begins.
CREATE TABLE IF NOT EXISTS hive.chain (
    only_one   boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    genesis    timestamptz NOT NULL,   -- when the block log was cut off
    log_blocks integer NOT NULL,       -- blocks in the log
    interval_s double precision NOT NULL
);

CREATE TABLE IF NOT EXISTS hive.blocks (
    num        integer PRIMARY KEY,
    hash       text NOT NULL,
    prev       text NOT NULL,
    producer   text NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE IF NOT EXISTS hive.accounts (
    name      text PRIMARY KEY,
    block_num integer NOT NULL
);

CREATE TABLE IF NOT EXISTS hive.operations (
    block_num integer NOT NULL,
    pos       smallint NOT NULL,
    op_type   text NOT NULL,
    body      jsonb NOT NULL,
    PRIMARY KEY (block_num, pos)
);

-- The states that the instance went through, each with the block it was at.
CREATE TABLE IF NOT EXISTS hive.sync_states (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state     hive.sync_state NOT NULL,
    block_num integer NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The apps and the block that each has got to.
CREATE TABLE IF NOT EXISTS hive.contexts (
    name              text PRIMARY KEY,
    current_block_num integer NOT NULL DEFAULT 0
);

-- Each execution of an app's set-up or index script, written in its own
-- transaction: what can be counted here took place.
CREATE TABLE IF NOT EXISTS hive.executions (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    app    text NOT NULL,
    script text NOT NULL,
    at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE OR REPLACE FUNCTION hive.head_block_num() RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT coalesce(max(num), 0) FROM hive.blocks
$$;

-- The block that the chain itself is at, by the clock.
CREATE OR REPLACE FUNCTION hive.chain_head() RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT coalesce(max(log_blocks + floor(greatest(0, extract(epoch FROM clock_timestamp() - genesis)) / interval_s)::integer), 0)
    FROM hive.chain
$$;

-- A state that is older than the server's start does not count: nobody may take
-- the LIVE of an instance that was stopped for the present one's.
CREATE OR REPLACE FUNCTION hive.get_sync_state() RETURNS hive.sync_state LANGUAGE sql STABLE AS $$
    SELECT coalesce(
        (SELECT CASE WHEN at >= pg_postmaster_start_time() THEN state END
         FROM hive.sync_states ORDER BY id DESC LIMIT 1),
        'START')
$$;

CREATE OR REPLACE FUNCTION hive.is_instance_ready() RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT hive.get_sync_state() IN ('P2P', 'LIVE')
$$;

-- In sync is an app whose block is at most one behind a live instance's.
CREATE OR REPLACE FUNCTION hive.is_app_in_sync(app text) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT hive.get_sync_state() = 'LIVE' AND coalesce(
        (SELECT current_block_num >= hive.head_block_num() - 1 FROM hive.contexts WHERE name = app),
        false)
$$;

-- The next blocks for an app, at most max_blocks; none when it has them all. It
-- locks the app's context until the transaction ends, so that two
-- syncs of one app never take the same blocks.
CREATE OR REPLACE FUNCTION hive.app_next_blocks(app text, max_blocks integer, OUT first_block integer, OUT last_block integer)
RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
    reached integer;
    head integer;
BEGIN
    SELECT current_block_num INTO reached FROM hive.contexts WHERE name = app FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'app % is not set up: run its setup_db.sh first', app;
    END IF;
    head := hive.head_block_num();
    IF reached < head THEN
        first_block := reached + 1;
        last_block := least(head, reached + max_blocks);
        UPDATE hive.contexts SET current_block_num = last_block WHERE name = app;
        RETURN NEXT;
    END IF;
END $$;
