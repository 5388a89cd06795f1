# What the images with packages in them begin with.
ARG FROM
FROM $FROM
COPY dpkg.cfg /etc/dpkg/dpkg.cfg.d/docker
