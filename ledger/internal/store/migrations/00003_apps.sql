-- +goose Up

-- What each app was deployed with that may not change any more.
CREATE TABLE apps (
    stack      TEXT   NOT NULL,
    engine     TEXT   NOT NULL,
    app        TEXT   NOT NULL,
    state      TEXT   NOT NULL, -- deploying, deployed
    descriptor TEXT   NOT NULL, -- the fields as a JSON object, its keys in order
    run        TEXT   NOT NULL, -- whose event brought it to this state; runs are pruned, this is not
    time       BIGINT NOT NULL, -- that event's, nanoseconds since 1970, UTC
    PRIMARY KEY (stack, engine, app)
);

-- Every change of a row of apps, removals too.
CREATE TABLE app_history (
    stack      TEXT   NOT NULL,
    engine     TEXT   NOT NULL,
    app        TEXT   NOT NULL,
    number     BIGINT NOT NULL, -- counts the app's changes from 1
    state      TEXT   NOT NULL, -- deploying, deployed, removed
    descriptor TEXT   NOT NULL,
    run        TEXT   NOT NULL,
    time       BIGINT NOT NULL,
    cause      TEXT   NOT NULL, -- of a removal
    PRIMARY KEY (stack, engine, app, number)
);

-- +goose Down
DROP TABLE app_history;
DROP TABLE apps;
