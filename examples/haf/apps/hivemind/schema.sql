-- hivemind: accounts, their posts and the votes on them.
CREATE SCHEMA IF NOT EXISTS hivemind;

CREATE TABLE IF NOT EXISTS hivemind.accounts (
    name          text PRIMARY KEY,
    created_block integer NOT NULL,
    posts         integer NOT NULL DEFAULT 0,
    votes_cast    integer NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS hivemind.posts (
    author    text NOT NULL,
    permlink  text NOT NULL,
    title     text NOT NULL,
    block_num integer NOT NULL,
    votes     integer NOT NULL DEFAULT 0,
    PRIMARY KEY (author, permlink)
);
CREATE INDEX IF NOT EXISTS posts_newest ON hivemind.posts (block_num DESC);

-- Takes the blocks from first_block to last_block, both included.
CREATE OR REPLACE FUNCTION hivemind.process_blocks(first_block integer, last_block integer)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO hivemind.accounts (name, created_block)
    SELECT body->>'name', block_num FROM hive.operations
    WHERE op_type = 'account_create' AND block_num BETWEEN first_block AND last_block;

    INSERT INTO hivemind.posts (author, permlink, title, block_num)
    SELECT body->>'author', body->>'permlink', body->>'title', block_num FROM hive.operations
    WHERE op_type = 'comment' AND block_num BETWEEN first_block AND last_block;

    UPDATE hivemind.posts p SET votes = p.votes + v.votes
    FROM (SELECT body->>'author' AS author, body->>'permlink' AS permlink, count(*)::integer AS votes
          FROM hive.operations WHERE op_type = 'vote' AND block_num BETWEEN first_block AND last_block
          GROUP BY 1, 2) v
    WHERE (p.author, p.permlink) = (v.author, v.permlink);

    UPDATE hivemind.accounts a SET posts = a.posts + s.posts, votes_cast = a.votes_cast + s.votes
    FROM (SELECT coalesce(body->>'voter', body->>'author') AS name,
                 (count(*) FILTER (WHERE op_type = 'comment'))::integer AS posts,
                 (count(*) FILTER (WHERE op_type = 'vote'))::integer AS votes
          FROM hive.operations WHERE op_type IN ('comment', 'vote') AND block_num BETWEEN first_block AND last_block
          GROUP BY 1) s
    WHERE a.name = s.name;
$$;
