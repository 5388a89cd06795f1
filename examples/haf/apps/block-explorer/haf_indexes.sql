-- Not needed: the explorer reads by block number only. It is here for stacks
-- that want a third builder (indexes: true).
CREATE INDEX IF NOT EXISTS block_explorer_blocks_by_producer ON hive.blocks (producer, num);
