-- block-explorer: the blocks and who produced them.
CREATE SCHEMA IF NOT EXISTS block_explorer;

CREATE TABLE IF NOT EXISTS block_explorer.blocks (
    num        integer PRIMARY KEY,
    hash       text NOT NULL,
    producer   text NOT NULL,
    operations integer NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE IF NOT EXISTS block_explorer.witnesses (
    name       text PRIMARY KEY,
    blocks     integer NOT NULL,
    last_block integer NOT NULL
);

-- Takes the blocks from first_block to last_block, both included.
CREATE OR REPLACE FUNCTION block_explorer.process_blocks(first_block integer, last_block integer)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO block_explorer.blocks (num, hash, producer, operations, created_at)
    SELECT b.num, b.hash, b.producer, (SELECT count(*) FROM hive.operations o WHERE o.block_num = b.num), b.created_at
    FROM hive.blocks b WHERE b.num BETWEEN first_block AND last_block;

    INSERT INTO block_explorer.witnesses AS w (name, blocks, last_block)
    SELECT producer, count(*), max(num) FROM hive.blocks WHERE num BETWEEN first_block AND last_block GROUP BY producer
    ON CONFLICT (name) DO UPDATE SET blocks = w.blocks + excluded.blocks, last_block = excluded.last_block;
$$;
