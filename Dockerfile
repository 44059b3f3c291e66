# syntax=docker/dockerfile:1
# authgw as an image: Node and one bundled program, no shell, no package manager, not root.
#
#   docker build --tag authgw .
#   docker run --read-only --cap-drop ALL --ulimit core=0 --volume ./config:/etc/authgw:ro --publish 4317:4317 authgw

FROM --platform=$BUILDPLATFORM node:26-trixie-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
# From the lock file alone; no dependency needs its install script.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json rolldown.config.ts ./
COPY src src
RUN npm run build && node dist/authgw.js version

FROM gcr.io/distroless/nodejs26-debian13:nonroot
LABEL org.opencontainers.image.title="authgw" \
      org.opencontainers.image.description="An authenticating gRPC gateway in front of stock OpenTelemetry Collectors" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY LICENSE /app/LICENSE
COPY --from=build /build/dist /app
# uid 65532. Nothing below / has to be writable; a tmpfs at /tmp lets Node keep its compile cache, for a faster start.
USER 65532:65532
WORKDIR /etc/authgw
# OTLP over gRPC, metrics and probes, grpc.health.v1.
EXPOSE 4317 9464 13133
# Ready, not merely alive. Kubernetes ignores this and has probes of its own.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD ["/nodejs/bin/node", "/app/authgw.js", "healthcheck", "--config", "/etc/authgw/config.yaml"]
# SIGTERM drains within 25 s: give it 30 (`docker stop --time 30`, terminationGracePeriodSeconds: 30).
STOPSIGNAL SIGTERM
# Both the same as in the program's first line (rolldown.config.ts).
ENV MALLOC_ARENA_MAX=1
ENTRYPOINT ["/nodejs/bin/node", "--max-semi-space-size=4", "/app/authgw.js"]
CMD ["--config", "/etc/authgw/config.yaml"]
