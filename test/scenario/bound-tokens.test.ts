/**
 * Tokens that are bound to the client certificate (RFC 8705 §3): the certificate is replaced, and every call carries the token that
 * belongs to the connection it leaves on.
 */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { DISCOVERY_PATH, KEYS_PATH, TOKEN_PATH } from '../support/fault-proxy.ts'
import { freePort } from '../support/free-port.ts'
import { waitFor } from '../support/gateway-pair.ts'
import { openStage } from '../support/scenario-stage.ts'
import type { Stage, StageOptions } from '../support/scenario-stage.ts'

/** A token endpoint that wants a client certificate, and binds what it gives to that. */
async function serveBound(
  port: number,
  { pki, provider }: Pick<Stage, 'pki' | 'provider'>,
  boundTo: string[],
): Promise<() => void> {
  const files = { key: readFileSync(pki.server.keyFile), cert: readFileSync(pki.server.certFile) }
  const tls = { ...files, ca: readFileSync(pki.ca.certFile), requestCert: true }
  const server = createServer(tls, (request, response) => {
    const { raw } = (request.socket as TLSSocket).getPeerCertificate()
    const thumbprint = createHash('sha256').update(raw).digest('base64url')
    boundTo.push(thumbprint)
    const answer = async (): Promise<void> => {
      const token = await provider.mintToken({ cnf: { 'x5t#S256': thumbprint } })
      response.writeHead(200, { 'content-type': 'application/json', connection: 'close' })
      response.end(JSON.stringify({ access_token: token, token_type: 'Bearer', expires_in: 300 }))
    }
    void answer()
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return () => {
    server.close()
    server.closeAllConnections()
  }
}

function replace(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

test('the certificate is replaced under load: no call fails, and none carries the token of the other certificate', async () => {
  const port = await freePort()
  const boundTo: string[] = []
  let close = (): void => {}
  const options: StageOptions = {
    shape: 'both',
    credential: `oauth2client:
  token_url: https://localhost:${port}/token
  client_id: workload
  auth_style: tls
  tls: {ca_file: '%folder%/ca.pem', cert_file: '%folder%/client.pem', key_file: '%folder%/client-key.pem'}`,
    async beforeStart(stage) {
      close = await serveBound(port, stage, boundTo)
    },
  }
  await using stage = await openStage(options)
  try {
    expect((await stage.call()).status).toBe('OK')
    const { certFile, keyFile } = stage.pki.client
    for (let round = 1; round <= 5; round++) {
      const isOver = { value: false }
      const failed: string[] = []
      const load = Array.from({ length: 10 }, async () => {
        while (!isOver.value) {
          const { status, reason } = await stage.call()
          if (status !== 'OK') failed.push(`${status} ${reason}`)
        }
      })
      const next = await stage.pki.ca.issue(`client-${round}`, {
        use: 'client',
        san: 'URI:spiffe://example.org/workload',
      })
      replace(keyFile, next.keyPem)
      replace(certFile, next.certificatePem)
      await waitFor(() => new Set(boundTo).size === round + 1, 5_000, 'a token for the new certificate')
      await sleep(300)
      isOver.value = true
      await Promise.all(load)
      expect(failed).toEqual([])
    }
    expect(await stage.metric('authgw_decisions_total', { reason: 'token_binding' })).toBe(0)
    expect(await stage.metric('authgw_degraded')).toBe(0)
  } finally {
    close()
  }
}, 60_000)

test('with a certificate for the provider, the endpoint for certificates is asked, whatever else says who we are', async () => {
  const port = await freePort()
  const boundTo: string[] = []
  let close = (): void => {}
  await using stage = await openStage({
    shape: 'both',
    oauth2client:
      "tls: {ca_file: '%folder%/ca.pem', cert_file: '%folder%/client.pem', key_file: '%folder%/client-key.pem'}",
    async beforeStart({ proxy, ...stage }) {
      const body = JSON.stringify({
        issuer: proxy.url,
        token_endpoint: `${proxy.url}${TOKEN_PATH}`,
        jwks_uri: `${proxy.url}${KEYS_PATH}`,
        mtls_endpoint_aliases: { token_endpoint: `https://localhost:${port}/token` },
      })
      const headers = { 'content-type': 'application/json' }
      proxy.misbehave(DISCOVERY_PATH, { kind: 'answer', status: 200, headers, body })
      close = await serveBound(port, stage, boundTo)
    },
  })
  try {
    expect((await stage.call()).status).toBe('OK')
    expect(boundTo.length).toBeGreaterThan(0)
    expect(stage.proxy.attempts(TOKEN_PATH)).toHaveLength(0)
  } finally {
    close()
  }
})
