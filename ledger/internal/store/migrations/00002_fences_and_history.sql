-- +goose Up
ALTER TABLE runs ADD COLUMN verb   TEXT   NOT NULL DEFAULT ''; -- up, down
ALTER TABLE runs ADD COLUMN host   TEXT   NOT NULL DEFAULT ''; -- the machine whose stagehand wrote it
ALTER TABLE runs ADD COLUMN plan   TEXT   NOT NULL DEFAULT ''; -- the number of steps by action, as JSON
ALTER TABLE runs ADD COLUMN token  BIGINT NOT NULL DEFAULT 0;  -- of its lease; 0 while it has none
ALTER TABLE runs ADD COLUMN pruned BIGINT NOT NULL DEFAULT 0;  -- 1: only what still counts is left of its events
UPDATE runs SET verb = 'up'   WHERE EXISTS (SELECT 1 FROM events e WHERE e.run = runs.id AND e.kind = 'run.started' AND e.body LIKE '%"verb":"up"%');
UPDATE runs SET verb = 'down' WHERE EXISTS (SELECT 1 FROM events e WHERE e.run = runs.id AND e.kind = 'run.started' AND e.body LIKE '%"verb":"down"%');

-- The highest lease token that was recorded.
CREATE TABLE fences (
    stack  TEXT   NOT NULL,
    engine TEXT   NOT NULL,
    token  BIGINT NOT NULL,
    PRIMARY KEY (stack, engine)
);

-- +goose Down
DROP TABLE fences;
ALTER TABLE runs DROP COLUMN pruned;
ALTER TABLE runs DROP COLUMN token;
ALTER TABLE runs DROP COLUMN plan;
ALTER TABLE runs DROP COLUMN host;
ALTER TABLE runs DROP COLUMN verb;
