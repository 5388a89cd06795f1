# A HAF instance: PostgreSQL and the node that replays a block log into it.
FROM demo/postgres
COPY hafnode /usr/local/bin/hafnode
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/hafnode"]
