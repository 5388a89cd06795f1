-- balance-tracker: what every account owns, in thousandths of a HIVE.
CREATE SCHEMA IF NOT EXISTS balance_tracker;

CREATE TABLE IF NOT EXISTS balance_tracker.balances (
    account    text PRIMARY KEY,
    balance    bigint NOT NULL,
    last_block integer NOT NULL
);
CREATE INDEX IF NOT EXISTS balances_richest ON balance_tracker.balances (balance DESC, account);

-- Takes the blocks from first_block to last_block, both included.
CREATE OR REPLACE FUNCTION balance_tracker.process_blocks(first_block integer, last_block integer)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO balance_tracker.balances AS b (account, balance, last_block)
    SELECT account, sum(amount), max(block_num)
    FROM (SELECT coalesce(body->>'to', body->>'name', body->>'producer') AS account, (body->>'amount')::bigint AS amount, block_num
          FROM hive.operations WHERE op_type IN ('transfer', 'account_create', 'producer_reward')
            AND block_num BETWEEN first_block AND last_block
          UNION ALL
          SELECT body->>'from', -(body->>'amount')::bigint, block_num
          FROM hive.operations WHERE op_type = 'transfer' AND block_num BETWEEN first_block AND last_block) changes
    GROUP BY account
    ON CONFLICT (account) DO UPDATE SET balance = b.balance + excluded.balance, last_block = excluded.last_block;
$$;
