# PostgreSQL: by itself, and what HAF's instance is made from.
FROM demo/base
# Debian's package would make a cluster of its own while it is installed.
RUN mkdir -p /etc/postgresql-common \
 && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql-15 >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
 && install -d -o postgres -g postgres /data /var/run/postgresql
COPY serve_postgres.sh /usr/local/bin/
VOLUME /data
EXPOSE 5432
# The fast shutdown: it waits for no client, and it is clean.
STOPSIGNAL SIGINT
ENTRYPOINT ["serve_postgres.sh"]
