/**
 * Row 21 of the no-loss contract for one client: more than it may send is put off, and another client does not notice.
 */
import { expect, test } from 'vitest'
import { CLIENT_ID, openStage } from '../support/scenario-stage.ts'

const LIMITED = { status: 'UNAVAILABLE', retrySeconds: 3, reason: 'client_limit' }

test('a client that calls too often is put off; another client of the same issuer passes, and both are counted', async () => {
  await using stage = await openStage({
    shape: 'control_plane',
    top: 'limits: {per_client: {calls_per_second: 0.01}}',
  })
  expect((await stage.call()).status).toBe('OK')
  expect(await stage.call()).toMatchObject(LIMITED)
  const token = await stage.provider.mintToken({ client_id: 'another', azp: 'another' })
  expect((await stage.call({ token })).status).toBe('OK')
  const client = { issuer: stage.provider.issuer, client: CLIENT_ID }
  expect(await stage.metric('authgw_client_calls_total', client)).toBe(1)
  expect(await stage.metric('authgw_client_refusals_total', client)).toBe(1)
  expect(await stage.metric('authgw_client_request_bytes_total', client)).toBeGreaterThan(0)
  expect(await stage.metric('authgw_client_calls_total', { client: 'another' })).toBe(1)
  expect(await stage.metric('authgw_local_answers_total', { reason: 'client_limit' })).toBe(1)
})

test('through both gateways the answer is passed on as it is, for the exporter to try again', async () => {
  await using stage = await openStage({
    shape: 'both',
    top: 'limits: {per_client: {calls_per_second: 0.01}}',
  })
  expect((await stage.call()).status).toBe('OK')
  expect(await stage.call()).toMatchObject({ status: 'UNAVAILABLE', retrySeconds: 3 })
  expect(await stage.metric('authgw_client_refusals_total')).toBe(1)
})
