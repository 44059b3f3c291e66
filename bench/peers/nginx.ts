/** nginx (C) with grpc_pass as a peer: one process, no token check. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../test/support/free-port.ts'
import { startListening } from '../load/fleet.ts'
import type { Peer } from './peer.ts'
import { programStanding } from './programs.ts'

export const nginx: Peer = {
  name: 'nginx',
  checksToken: false,
  standing: () => programStanding('nginx', '-v'),
  async start({ ground, upstreamPort, isTls, turn }) {
    const port = await freePort()
    const folder = join(ground.folder, `nginx-${turn}`)
    mkdirSync(folder)
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map((kind) => `  ${kind}_temp_path ${folder}/${kind};`)
      .join('\n')
    const safety = isTls ? `ssl_certificate ${ground.certFile}; ssl_certificate_key ${ground.keyFile};` : ''
    const text = `daemon off;
master_process off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr error;
events { worker_connections 4096; }
http {
  access_log off;
${temporary}
  http2_max_concurrent_streams 1000;
  keepalive_requests 1000000000;
  client_max_body_size 0;
  upstream egress { server 127.0.0.1:${upstreamPort}; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} ${isTls ? 'ssl ' : ''}http2;
    ${safety}
    location / { grpc_pass grpc://egress; }
  }
}
`
    writeFileSync(join(folder, 'nginx.conf'), text)
    return startListening('nginx', ['-p', folder, '-c', join(folder, 'nginx.conf')], port, {
      logFile: join(folder, 'log'),
    })
  },
}
