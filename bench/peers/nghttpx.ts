/** nghttpx (C++) as a peer: one worker, no token check. */
import { join } from 'node:path'
import { writeFileSync } from 'node:fs'
import { freePort } from '../../test/support/free-port.ts'
import { startListening } from '../load/fleet.ts'
import type { Peer } from './peer.ts'
import { programStanding } from './programs.ts'

export const nghttpx: Peer = {
  name: 'nghttpx',
  checksToken: false,
  standing: () => programStanding('nghttpx', '--version'),
  async start({ ground, upstreamPort, isTls, turn }) {
    const port = await freePort()
    const config = join(ground.folder, `nghttpx-${turn}.conf`)
    const lines = [
      `frontend=127.0.0.1,${port}${isTls ? '' : ';no-tls'}`,
      `backend=127.0.0.1,${upstreamPort};;proto=h2`,
      'workers=1',
      'single-process=yes',
      'frontend-http2-max-concurrent-streams=1000',
      'backend-http2-max-concurrent-streams=1000',
      'frontend-http2-window-size=1048575',
      'frontend-http2-connection-window-size=4194303',
      'backend-http2-window-size=1048575',
      'backend-http2-connection-window-size=4194303',
      'accesslog-file=/dev/null',
      'errorlog-file=/dev/stderr',
      'log-level=ERROR',
      ...(isTls
        ? [
            `private-key-file=${ground.keyFile}`,
            `certificate-file=${ground.certFile}`,
            'verify-client=yes',
            `verify-client-cacert=${ground.caFile}`,
          ]
        : []),
    ]
    writeFileSync(config, `${lines.join('\n')}\n`)
    return startListening('nghttpx', [`--conf=${config}`], port, { logFile: `${config}.log` })
  },
}
