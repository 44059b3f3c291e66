/** HAProxy (C) as a peer: one thread; once as a bare proxy, once with signature, issuer, audience and time of each token checked. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../test/support/free-port.ts'
import { startListening } from '../load/fleet.ts'
import type { Ground } from '../load/ground.ts'
import { AUDIENCE, ISSUER, METHOD } from '../load/ground.ts'
import type { Peer } from './peer.ts'
import { programStanding } from './programs.ts'

/** The checks of authgw's control plane role, in HAProxy's words. Its jwt_verify has no cache. */
const tokenRules = (ground: Ground): string[] => [
  `http-request deny deny_status 404 unless { path ${METHOD} }`,
  'http-request set-var(txn.bearer) http_auth_bearer',
  "http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')",
  "http-request set-var(txn.iss) var(txn.bearer),jwt_payload_query('$.iss')",
  "http-request set-var(txn.aud) var(txn.bearer),jwt_payload_query('$.aud')",
  "http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')",
  'http-request set-var(txn.now) date()',
  'http-request deny deny_status 401 unless { var(txn.alg) -m str RS256 }',
  `http-request deny deny_status 401 unless { var(txn.iss) -m str ${ISSUER} }`,
  `http-request deny deny_status 401 unless { var(txn.aud) -m str ${AUDIENCE} }`,
  'http-request deny deny_status 401 if { var(txn.exp),sub(txn.now) -m int lt 0 }',
  `http-request deny deny_status 401 unless { var(txn.bearer),jwt_verify(txn.alg,"${ground.publicKeyFile}") -m int 1 }`,
  'http-request del-header authorization',
]

function haproxyPeer(checksToken: boolean): Peer {
  const name = checksToken ? 'haproxy + jwt' : 'haproxy'
  return {
    name,
    checksToken,
    standing: () => programStanding('haproxy', '-v'),
    async start({ ground, upstreamPort, isTls, turn }) {
      const port = await freePort()
      const config = join(ground.folder, `haproxy-${checksToken ? 'jwt-' : ''}${turn}.cfg`)
      const bind = isTls
        ? `ssl crt ${ground.bothFile} ca-file ${ground.caFile} verify required alpn h2`
        : 'proto h2'
      const text = `global
  nbthread 1
  maxconn 4000
  tune.h2.max-concurrent-streams 1000
  tune.h2.initial-window-size 1048575
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
frontend ingress
  bind 127.0.0.1:${port} ${bind}
${
  checksToken
    ? tokenRules(ground)
        .map((rule) => `  ${rule}\n`)
        .join('')
    : ''
}  default_backend egress
backend egress
  http-reuse always
  server upstream 127.0.0.1:${upstreamPort} proto h2
`
      writeFileSync(config, text)
      return startListening('haproxy', ['-db', '-f', config], port, { logFile: `${config}.log` })
    },
  }
}

export const haproxy = haproxyPeer(false)
export const haproxyJwt = haproxyPeer(true)
