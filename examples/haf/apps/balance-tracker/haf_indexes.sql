-- Accounts first, then operations: see hivemind's, which takes them the other way round.
ALTER TABLE hive.accounts ALTER COLUMN name SET STATISTICS 500;
CREATE INDEX IF NOT EXISTS balance_tracker_accounts_by_pattern ON hive.accounts (name text_pattern_ops);
CREATE INDEX IF NOT EXISTS balance_tracker_transfers_from ON hive.operations ((body->>'from')) WHERE op_type = 'transfer';
CREATE INDEX IF NOT EXISTS balance_tracker_transfers_to ON hive.operations ((body->>'to')) WHERE op_type = 'transfer';
