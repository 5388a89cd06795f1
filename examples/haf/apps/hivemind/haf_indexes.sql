-- Operations first, then accounts. balance-tracker takes them the other way
-- round, and SHARE locks conflict with SHARE UPDATE EXCLUSIVE ones: two of
-- these at a time deadlock. That is why builders run one after another.
ALTER TABLE hive.operations ALTER COLUMN op_type SET STATISTICS 500;
CREATE INDEX IF NOT EXISTS hivemind_posts_by_author
    ON hive.operations ((body->>'author'), (body->>'permlink')) WHERE op_type IN ('comment', 'vote');
CREATE INDEX IF NOT EXISTS hivemind_accounts_by_block ON hive.accounts (block_num);
