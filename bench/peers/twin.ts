/** The node:http2 twin as a peer, in a process of its own. */
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { freePort } from '../../test/support/free-port.ts'
import { startListening } from '../load/fleet.ts'
import { AUDIENCE, ISSUER } from '../load/ground.ts'
import type { TwinOptions } from './node-http2.ts'
import type { Peer } from './peer.ts'

export const twin: Peer = {
  name: 'node:http2 twin',
  checksToken: true,
  standing: () => Promise.resolve({ version: process.versions.node }),
  async start({ ground, upstreamPort, isTls, turn }) {
    const port = await freePort()
    const options: TwinOptions = {
      listenPort: port,
      upstream: `127.0.0.1:${upstreamPort}`,
      oidc: { publicKeysFile: ground.publicKeysFile, issuer: ISSUER, audience: AUDIENCE },
      ...(isTls && { listenTls: { certFile: ground.certFile, keyFile: ground.keyFile } }),
    }
    const config = join(ground.folder, `twin-${turn}.json`)
    writeFileSync(config, JSON.stringify(options))
    const program = resolve(import.meta.dirname, 'node-http2.ts')
    return startListening(process.execPath, [program, config], port, { logFile: `${config}.log` })
  },
}
