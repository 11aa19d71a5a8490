# perchd and perch on Debian 12. The build stage compiles them with the Swift library inside, so that the image needs no
# toolchain.
#
#   docker build -t perch .
#   docker build -t perch --build-arg POSTGRES_MAJOR=17 .
#   docker run -p 7390:7390 -p 8080:8080 -v perch:/var/lib/perch \
#       -v /etc/perch/policies:/etc/perch/policies:ro --env-file /etc/perch/perchd.env perch
#
# Services run as processes beside perchd, so what they need to run (Python, a JRE, ...) belongs into an image made FROM
# this one. A container ends as a whole: stopping it stops routers and instances too. Where those must outlive an upgrade
# of Perch, run perchd under systemd instead (docs/install.md).

ARG SWIFT_VERSION=6.3

FROM swift:${SWIFT_VERSION}-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpq-dev pkg-config zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# Dependencies first: they are fetched anew only when the manifest changes.
COPY Package.* ./
RUN swift package resolve
COPY . .
RUN swift build -c release --static-swift-stdlib --product perchd \
    && swift build -c release --static-swift-stdlib --product perch \
    && install -D -t /out "$(swift build -c release --show-bin-path)/perchd" "$(swift build -c release --show-bin-path)/perch" \
    && strip /out/perchd /out/perch

FROM debian:12-slim
# pg_dump must be at least as new as the server, and what a newer one writes need not restore into an older server: use
# the server's own major version. Debian 12 has 15; others come from apt.postgresql.org.
ARG POSTGRES_MAJOR=15
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates git libpq5 libstdc++6 postgresql-common tini zlib1g \
    && if [ "$POSTGRES_MAJOR" != 15 ]; then /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y; fi \
    && apt-get install -y --no-install-recommends "postgresql-client-$POSTGRES_MAJOR" \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/perch --shell /usr/sbin/nologin perch \
    && install -d -o perch -g perch -m 0750 /var/lib/perch /run/perch
COPY --from=build /out/perchd /out/perch /usr/local/bin/
COPY policies /usr/share/doc/perch/policies

USER perch
ENV PERCH_LISTEN=0.0.0.0:7390 \
    PERCH_LOG_FORMAT=json
VOLUME /var/lib/perch
EXPOSE 7390
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["perch", "status"]
# tini: instances and routers are orphans on purpose, and process 1 must reap them.
ENTRYPOINT ["/usr/bin/tini", "--", "perchd"]
CMD ["serve"]
