# bash and psql, for helpers and detectors that are scripts.
FROM demo/base
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql-client-15 >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY psql/ /usr/local/bin/
CMD ["bash"]
