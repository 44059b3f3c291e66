/**
 * Without `ca_file` the authorities of the machine are trusted, as programs in Go do: with SSL_CERT_FILE and NODE_EXTRA_CA_CERTS
 * in the environment, those too. Real processes, since both are read at their start.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makePki } from '../support/dev-pki.ts'
import type { Pki } from '../support/dev-pki.ts'
import { jwt } from '../support/token-endpoint.ts'

const MAIN = resolve(import.meta.dirname, '../../src/main.ts')
const folder = mkdtempSync(join(tmpdir(), 'authgw-system-trust-'))
let pki: Pki
let server: Server

beforeAll(async () => {
  pki = await makePki(folder)
  const files = { key: readFileSync(pki.server.keyFile), cert: readFileSync(pki.server.certFile) }
  server = createServer(files, (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(
      JSON.stringify({ access_token: jwt({ sub: 'workload' }), token_type: 'Bearer', expires_in: 300 }),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  writeFileSync(
    join(folder, 'workload.yaml'),
    `workload:
  listen: {endpoint: 127.0.0.1:0}
  upstream: {endpoint: 127.0.0.1:1}
  oauth2client: {token_url: 'https://localhost:${port}/token', client_id: workload, client_secret: hush}
`,
  )
}, 30_000)
afterAll(() => {
  server.close()
  rmSync(folder, { recursive: true, force: true })
})

/** What `authgw token` says of the provider, in a process with this environment. */
async function askFor(environment: Readonly<Record<string, string>>): Promise<string> {
  const { SSL_CERT_FILE: _, NODE_EXTRA_CA_CERTS: __, ...env } = process.env
  const args = [MAIN, 'token', '--config', join(folder, 'workload.yaml')]
  const child = spawn(process.execPath, args, { env: { ...env, ...environment } })
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)])
  return out + err
}

test('a provider of an authority that nobody has named is not trusted', async () => {
  expect(await askFor({})).toContain('idp_tls')
}, 30_000)

test.each(['SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS'])(
  '%s adds to what is trusted',
  async (name) => {
    const said = await askFor({ [name]: pki.ca.certFile })
    expect(said).not.toContain('idp_tls')
    expect(said).toContain('lives     300 s')
  },
  30_000,
)
