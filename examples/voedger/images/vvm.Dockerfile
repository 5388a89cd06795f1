# Voedger in small: one program, which is all of its containers but the database's.
FROM scratch
COPY vvm /vvm
EXPOSE 8080 55555
ENTRYPOINT ["/vvm"]
