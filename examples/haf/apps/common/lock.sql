-- One set-up of an app at a time; the lock goes with the transaction.
SELECT pg_advisory_xact_lock(hashtext('setup_db ' || :'app'));
