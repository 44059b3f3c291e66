/**
 * One workload gateway with two identities, chosen by the method: each call carries the token of its own, and the trouble of one
 * holds up nobody else.
 */
import { expect, test } from 'vitest'
import { TOKEN_PATH } from '../support/fault-proxy.ts'
import { waitFor } from '../support/gateway-pair.ts'
import { exportPath } from '../support/otlp-proto.ts'
import { CLIENT_SECRET, openStage } from '../support/scenario-stage.ts'
import type { StageOptions } from '../support/scenario-stage.ts'

const identity = (name: string, secret: string): string =>
  `  - name: ${name}
    oauth2client: {token_url: '%provider%${TOKEN_PATH}', client_id: ${name}, client_secret: ${secret}}`

const twoIdentities = (auditSecret: string): StageOptions => ({
  shape: 'both',
  clients: [
    { clientId: 'workload', secret: CLIENT_SECRET },
    { clientId: 'audit', secret: CLIENT_SECRET },
  ],
  credential: `identities:
${identity('workload', CLIENT_SECRET)}
${identity('audit', auditSecret)}
routes:
  - {prefix: /opentelemetry.proto.collector.logs.v1., identity: audit}`,
})

test('each method goes out under the identity of its route, and all others under the first', async () => {
  await using stage = await openStage(twoIdentities(CLIENT_SECRET))
  for (const path of [exportPath('logs'), exportPath('traces'), exportPath('metrics')])
    expect((await stage.call({ path })).status).toBe('OK')
  const callsOf = (client: string): Promise<number> => stage.metric('authgw_client_calls_total', { client })
  expect([await callsOf('audit'), await callsOf('workload')]).toEqual([1, 2])
  for (const name of ['workload', 'audit'])
    expect(await stage.metric('authgw_token_refreshes_total', { identity: name, result: 'ok' })).toBe(1)
})

test('an identity that gets no token: its calls are put off, those of the other pass', async () => {
  await using stage = await openStage({ ...twoIdentities('wrong'), waitsUntilWell: false })
  await waitFor(async () => (await stage.call()).status === 'OK', 5_000, 'the first identity has its token')
  expect(await stage.call({ path: exportPath('logs') })).toMatchObject({
    status: 'UNAVAILABLE',
    reason: 'credential_config',
    retrySeconds: 10,
  })
  expect((await stage.call({ path: exportPath('traces') })).status).toBe('OK')
  const said = async (): Promise<string> => (await stage.conditions('workload')).join('\n')
  await waitFor(
    async () => /\[~\] token audit.*invalid_client/.test(await said()),
    3_000,
    'it is said whose token is missing',
  )
  expect(await said()).toMatch(/\[\+\] token workload/)
})
