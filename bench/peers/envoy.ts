/** Envoy (C++) with jwt_authn as a peer: one worker, every token's signature, issuer, audience and time checked, with its own token cache. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { programPath } from '../../test/interop/tools/cache.ts'
import { envoy as component } from '../../test/interop/tools/catalog.ts'
import { freePort } from '../../test/support/free-port.ts'
import { startListening } from '../load/fleet.ts'
import { AUDIENCE, ISSUER, METHOD } from '../load/ground.ts'
import type { Peer, PeerSetting } from './peer.ts'

const TYPE = 'type.googleapis.com/envoy.extensions'
const HTTP2 = { max_concurrent_streams: 1000, initial_stream_window_size: 1048576 }
/** Envoy's own limits on requests at once are below what the load has in flight. */
const THRESHOLDS = { max_requests: 100_000, max_pending_requests: 100_000 }

/** Envoy's configuration is YAML, of which JSON is a part. */
function configuration({ ground, upstreamPort, isTls }: PeerSetting, port: number): object {
  const jwt = {
    name: 'envoy.filters.http.jwt_authn',
    typed_config: {
      '@type': `${TYPE}.filters.http.jwt_authn.v3.JwtAuthentication`,
      providers: {
        issuer: {
          issuer: ISSUER,
          audiences: [AUDIENCE],
          local_jwks: { inline_string: readFileSync(ground.publicKeysFile, 'utf8') },
          jwt_cache_config: { jwt_cache_size: 1000 },
        },
      },
      rules: [{ match: { prefix: '/' }, requires: { provider_name: 'issuer' } }],
    },
  }
  const router = {
    name: 'envoy.filters.http.router',
    typed_config: { '@type': `${TYPE}.filters.http.router.v3.Router` },
  }
  const manager = {
    '@type': `${TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'ingress',
    codec_type: 'HTTP2',
    http2_protocol_options: HTTP2,
    http_filters: [jwt, router],
    route_config: {
      virtual_hosts: [
        { name: 'all', domains: ['*'], routes: [{ match: { path: METHOD }, route: { cluster: 'egress' } }] },
      ],
    },
  }
  const certificate = {
    certificate_chain: { filename: ground.certFile },
    private_key: { filename: ground.keyFile },
  }
  const tls = {
    name: 'tls',
    typed_config: {
      '@type': `${TYPE}.transport_sockets.tls.v3.DownstreamTlsContext`,
      common_tls_context: { alpn_protocols: ['h2'], tls_certificates: [certificate] },
    },
  }
  const at = (portValue: number): object => ({
    socket_address: { address: '127.0.0.1', port_value: portValue },
  })
  const chain = {
    filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }],
    ...(isTls && { transport_socket: tls }),
  }
  const options = {
    '@type': `${TYPE}.upstreams.http.v3.HttpProtocolOptions`,
    explicit_http_config: { http2_protocol_options: HTTP2 },
  }
  const egress = {
    name: 'egress',
    type: 'STATIC',
    connect_timeout: '5s',
    circuit_breakers: { thresholds: [THRESHOLDS] },
    typed_extension_protocol_options: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': options },
    load_assignment: {
      cluster_name: 'egress',
      endpoints: [{ lb_endpoints: [{ endpoint: { address: at(upstreamPort) } }] }],
    },
  }
  return {
    static_resources: {
      listeners: [{ name: 'ingress', address: at(port), filter_chains: [chain] }],
      clusters: [egress],
    },
  }
}

export const envoy: Peer = {
  name: 'envoy + jwt',
  checksToken: true,
  standing() {
    const isThere = programPath(component, 'envoy') !== null
    return Promise.resolve(
      isThere ? { version: component.version } : { absent: 'not installed: npm run tools envoy' },
    )
  },
  async start(setting) {
    const port = await freePort()
    const config = join(setting.ground.folder, `envoy-${setting.turn}.json`)
    writeFileSync(config, JSON.stringify(configuration(setting, port)))
    const args = ['-c', config, '--concurrency', '1', '-l', 'error', '--disable-hot-restart']
    return startListening(programPath(component, 'envoy')!, args, port, {
      logFile: `${config}.log`,
      maxSeconds: 20,
    })
  },
}
