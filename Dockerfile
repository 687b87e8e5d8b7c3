# The gateway in a container: configuration at /etc/gateway/config.yaml, keys and database below /data.
# Build: docker build -t gateway .
# Run:   docker run --read-only -p 8080:8080 -v ./config.yaml:/etc/gateway/config.yaml:ro -v gateway-data:/data gateway

FROM docker.io/library/python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md ./
COPY gateway ./gateway
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .
# The runtime's own environment has no installer in it. Its modules are compiled here, since a
# read-only root leaves no place to do it later.
RUN python -m venv --without-pip /opt/gateway \
    && wheel=$(echo /wheels/*.whl) \
    && pip --python /opt/gateway/bin/python install --no-cache-dir "$wheel[postgres]"

FROM docker.io/library/python:3.13-slim
LABEL org.opencontainers.image.title="auth-gateway" \
      org.opencontainers.image.description="One process in front of any web app gives it sign-in, short-lived access tokens, rotating refresh tokens and sign-out."
RUN groupadd --gid 10001 gateway \
    && useradd --uid 10001 --gid gateway --home-dir /data --no-create-home --shell /usr/sbin/nologin gateway \
    && install -d -m 0700 -o gateway -g gateway /data \
    && install -d -m 0755 /etc/gateway
COPY --from=build /opt/gateway /opt/gateway
# The base image has its standard library as sources only. Loading once what a start loads compiles
# it, else every start and every health check would do so again, for half a second.
RUN /opt/gateway/bin/python -c "import gateway.commands.run, gateway.commands.healthcheck, gateway.sessions.sql, gateway.sessions.redis, gateway.identity.database, aiosqlite, asyncpg"
# A container is reached from outside its loopback. GATEWAY_LISTEN stands above the file's `listen`.
ENV PATH=/opt/gateway/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GATEWAY_CONFIG=/etc/gateway/config.yaml \
    GATEWAY_LISTEN=0.0.0.0:8080
# The defaults data/keys and data/gateway.db, seen from here, are in the volume.
WORKDIR /
USER 10001:10001
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["gateway", "healthcheck"]
ENTRYPOINT ["gateway"]
CMD ["run"]
