# The images that compose.yml needs beside usher's own: Redis, and the origins. All from Debian's packages.
FROM debian:trixie-slim AS compile
RUN apt-get update -q && apt-get install -yq --no-install-recommends gcc libc6-dev
COPY setup/demo_origin.c /src/demo_origin.c
RUN gcc -O2 -D_GNU_SOURCE -o /src/demo_origin /src/demo_origin.c -lpthread

# Redis and Sentinel, and the tools to speak with them; docker/redis-node says what each container does.
FROM debian:trixie-slim AS redis
RUN apt-get update -q && apt-get install -yq --no-install-recommends redis-server \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
    && install -d -o redis -g redis /data
COPY docker/redis-node /usr/local/bin/redis-node
COPY docker/*.redis /samples/
WORKDIR /data
USER redis
EXPOSE 6379 26379
ENTRYPOINT ["redis-node"]

# Four origins of different kinds in one image; the command says which.
FROM debian:trixie-slim AS origins
RUN apt-get update -q && apt-get install -yq --no-install-recommends busybox python3 python3-websockets \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY --from=compile /src/demo_origin /usr/local/bin/demo_origin
COPY docker/origins /srv
WORKDIR /srv
USER 10002:10002
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE 8080
CMD ["demo_origin", "origin", "0.0.0.0:8080"]
