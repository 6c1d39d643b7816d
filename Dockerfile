# bearerswap, without a build step: Node runs the TypeScript sources as they are. That works outside node_modules only, hence /app.
#   docker build -t bearerswap .
#   docker run -v ./bearerswap.yaml:/etc/bearerswap/bearerswap.yaml:ro -e CRM_CLIENT_SECRET bearerswap serve --config /etc/bearerswap/bearerswap.yaml

FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# None of them has anything to run at installation. Two thirds of what traces need is for debuggers and compilers.
RUN npm ci --omit=dev --ignore-scripts \
 && find node_modules/@opentelemetry -type f \( -name "*.map" -o -name "*.d.ts" -o -name "*.d.mts" -o -name "*.d.cts" \) -delete

FROM node:24-bookworm-slim AS bearerswap
# The version is that of package.json.
LABEL org.opencontainers.image.title="bearerswap" \
      org.opencontainers.image.description="Envoy external authorization service that swaps a session credential for a fresh upstream OAuth token" \
      org.opencontainers.image.version="0.2.0" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY package.json LICENSE ./
COPY proto proto
COPY bin bin
COPY src src
# On PATH for `docker exec … bearerswap grants`, and a place for unix sockets that the user below may write to.
RUN ln -s /app/bin/bearerswap.mjs /usr/local/bin/bearerswap && install -d -o 1000 -g 1000 -m 0750 /run/bearerswap
# The image's user `node`, as a number, so that Kubernetes can tell that it is not root. Nothing in /app is writable for it.
USER 1000:1000
ENTRYPOINT ["bearerswap"]
CMD ["--help"]

# The servers around bearerswap in docker-compose.yml: a provider and an API for the demo, never for production.
FROM bearerswap AS demo
COPY test/support test/support
COPY test/demo/compose test/demo/compose
ENTRYPOINT []
CMD ["node"]

# Last, so that it is what `docker build` makes without --target.
FROM bearerswap
