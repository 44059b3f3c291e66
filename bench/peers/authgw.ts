/** authgw's control plane role as a peer: started as it ships, one worker, every limit, metric and check as it is by default. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { freePort } from '../../test/support/free-port.ts'
import { startListening } from '../load/fleet.ts'
import { AUDIENCE, ISSUER } from '../load/ground.ts'
import type { Peer } from './peer.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const MAIN = join(ROOT, 'src/main.ts')

export const authgw: Peer = {
  name: 'authgw',
  checksToken: true,
  standing() {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
    return Promise.resolve(existsSync(MAIN) ? { version } : { absent: 'src/main.ts is not there' })
  },
  async start({ ground, upstreamPort, isTls, turn }) {
    const port = await freePort()
    const yaml = `control_plane:
  listen:
    endpoint: 127.0.0.1:${port}
    max_concurrent_streams: 1000
${isTls ? `    tls: {cert_file: ${ground.certFile}, key_file: ${ground.keyFile}, client_auth: none}\n` : ''}  upstream: {endpoint: 127.0.0.1:${upstreamPort}}
  oidc:
    providers:
      - {issuer_url: ${ISSUER}, audience: ${AUDIENCE}, public_keys_file: ${ground.publicKeysFile}}
admin: {endpoint: 127.0.0.1:${await freePort()}}
drain: {delay: 0s, timeout: 2s}
`
    const config = join(ground.folder, `authgw-${turn}.yaml`)
    writeFileSync(config, yaml)
    return startListening(process.execPath, ['--max-semi-space-size=4', MAIN, '--config', config], port, {
      logFile: `${config}.log`,
    })
  },
}
