# The daybook binary on a small Debian, run by a user without rights.
#   docker build --tag daybook .
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The caches stay between builds, so the binary is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --package daybook \
    && install -D target/release/daybook /out/daybook

FROM debian:bookworm-slim
# Certificates for databases, buses and object stores behind TLS; curl for the
# health check.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 daybook \
    && useradd --uid 10001 --gid daybook --no-create-home --shell /usr/sbin/nologin daybook \
    && install --directory --owner daybook --group daybook /data
COPY --from=build /out/daybook /usr/local/bin/daybook
USER 10001:10001
ENV DAYBOOK_DATA_DIR=/data HTTP_ADDR=0.0.0.0:8080 LOG_FORMAT=json
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD curl --fail --silent http://127.0.0.1:8080/live
STOPSIGNAL SIGTERM
ENTRYPOINT ["daybook"]
CMD ["serve"]
