-- The app's place in the chain, kept if it has one, and the mark that this ran.
INSERT INTO hive.contexts (name) VALUES (:'app') ON CONFLICT DO NOTHING;
INSERT INTO hive.executions (app, script) VALUES (:'app', 'setup_db');
