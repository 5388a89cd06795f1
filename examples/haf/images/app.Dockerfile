# A HAF app: its program and the scripts that its helpers run.
FROM scratch
ARG APP
COPY hafapp /usr/local/bin/hafapp
COPY common/ /haf_app_root/scripts/
COPY app/ /haf_app_root/scripts/
ENV HAF_APP=$APP
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/hafapp"]
