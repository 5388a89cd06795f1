# A HAF instance: PostgreSQL and the node that replays a block log into it.
FROM demo/base
# Debian's package would make a cluster of its own while it is installed.
RUN mkdir -p /etc/postgresql-common \
 && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql-15 >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
 && install -d -o postgres -g postgres /data /var/run/postgresql
COPY hafnode /usr/local/bin/hafnode
VOLUME /data
EXPOSE 5432
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/hafnode"]
