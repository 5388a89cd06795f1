# MatrixOne in small: one program, which is all of its containers but the database's.
FROM scratch
COPY monode /monode
EXPOSE 6001
ENTRYPOINT ["/monode"]
