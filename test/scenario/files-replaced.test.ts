/**
 * Secrets, tokens and keys in files that others renew: what is new is used within a moment, without a signal.
 */
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import { expect, test } from 'vitest'
import { KEYS_PATH } from '../support/fault-proxy.ts'
import { waitFor } from '../support/gateway-pair.ts'
import { openStage } from '../support/scenario-stage.ts'

/** Files are renewed as the kubelet and cert-manager do it: written beside, and moved over the old one. */
function replace(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 })
  renameSync(`${file}.new`, file)
}

test('a renewed token file is on calls within a second', async () => {
  let file = ''
  await using stage = await openStage({
    shape: 'workload',
    waitsUntilWell: false,
    get credential() {
      return `bearertokenauth: {filename: ${file}}`
    },
    beforeStart: async ({ folder, provider }) => {
      file = join(folder, 'token')
      replace(file, await provider.mintToken({ jti: 'the-first' }))
    },
  })
  const seen: unknown[] = []
  stage.upstream.respond = (call) => {
    seen.push(decodeJwt(String(call.metadata['authorization']?.[0]).slice('Bearer '.length)).jti)
    call.finish()
  }
  expect((await stage.call()).status).toBe('OK')
  expect(seen).toEqual(['the-first'])
  replace(file, await stage.provider.mintToken({ jti: 'the-second' }))
  const isRenewed = async (): Promise<boolean> => {
    await stage.call()
    return seen.at(-1) === 'the-second'
  }
  await waitFor(isRenewed, 1_500, 'calls carry the new token')
})

test('a key set in a file is read again when it changes', async () => {
  await using stage = await openStage({
    shape: 'control_plane',
    waitsUntilWell: false,
    oidcProviders: ({ folder, proxy }) =>
      `[{issuer_url: '${proxy.url}', audience: control-plane, public_keys_file: ${join(folder, 'keys.json')}}]`,
    beforeStart: async ({ folder, provider }) => {
      const keys = await fetch(`${provider.url}${KEYS_PATH}`)
      replace(join(folder, 'keys.json'), await keys.text())
    },
  })
  expect((await stage.call()).status).toBe('OK')
  await stage.provider.rotateKeys({ forgetOld: true })
  const token = await stage.provider.mintToken({})
  expect((await stage.call({ token })).status).not.toBe('OK')
  const keys = await fetch(`${stage.provider.url}${KEYS_PATH}`)
  replace(join(stage.folder, 'keys.json'), await keys.text())
  await waitFor(async () => (await stage.call({ token })).status === 'OK', 2_000, 'the new key is known')
  expect(stage.proxy.attempts(KEYS_PATH)).toHaveLength(0)
})

test('the discovery document may be reached under another address than the issuer', async () => {
  await using stage = await openStage({
    shape: 'both',
    oauth2client: 'discovery_url: %provider%/.well-known/openid-configuration',
    oidcProviders: ({ proxy, provider }) =>
      `[{issuer_url: '${proxy.url}', audience: control-plane, discovery_url: '${provider.url}/.well-known/openid-configuration'}]`,
  })
  expect((await stage.call()).status).toBe('OK')
  expect(stage.proxy.attempts('/.well-known/openid-configuration')).toHaveLength(0)
})
