import type { TLSSocket } from 'node:tls'
import { expect, test, vi } from 'vitest'
import { anonymousPeer } from '../../../src/auth/index.ts'
import { Turn } from '../../../src/base/index.ts'
import { NetStats } from '../../../src/net/index.ts'
import type { LivePeer, Pump } from '../../../src/net/index.ts'
import { PeerRecheck } from '../../../src/net/peer-recheck.ts'
import { issueCertificate } from '../../../src/cli/certs/certificate.ts'
import { FakeClock } from '../../support/fake-clock.ts'

function scene(isVerified = true, socket: Partial<TLSSocket> = {}) {
  const clock = new FakeClock(1_000, Date.now())
  const turn = new Turn(clock, () => {})
  const stats = new NetStats()
  const close = vi.fn<() => void>()
  const drainStreams = vi.fn<() => void>()
  const pump = { socket: { destroyed: false }, connection: { drainStreams }, close } as unknown as Pump
  const peer = { ...anonymousPeer('192.0.2.1', false), isVerified }
  const live: LivePeer = { peer, pump, tlsSocket: socket as TLSSocket }
  return { recheck: new PeerRecheck({ clock, turn, stats }), live, stats, close, drainStreams }
}

test('a bundle that cannot be read asks verified peers to come again, and cuts nobody', async () => {
  const { recheck, live, close, drainStreams } = scene()
  await recheck.run({ certificates: ['junk'], crls: [] }, [live])
  expect(drainStreams).toHaveBeenCalledTimes(1)
  expect(close).not.toHaveBeenCalled()
})

test('a peer whose certificate cannot be read is asked to come again', async () => {
  const { certificatePem } = await issueCertificate({ use: 'ca', subject: 'CN=CA' })
  const { recheck, live, close, drainStreams } = scene(true, {
    getPeerCertificate: () => {
      throw new Error('gone')
    },
  })
  await recheck.run({ certificates: [certificatePem], crls: [] }, [live])
  expect(drainStreams).toHaveBeenCalledTimes(1)
  expect(close).not.toHaveBeenCalled()
})

test('a peer that no longer shows a certificate is cut', async () => {
  const { certificatePem } = await issueCertificate({ use: 'ca', subject: 'CN=CA' })
  const { recheck, live, stats, close } = scene(true, {
    getPeerCertificate: () => ({}),
  } as unknown as TLSSocket)
  await recheck.run({ certificates: [certificatePem], crls: [] }, [live])
  expect(close).toHaveBeenCalledTimes(1)
  expect(stats.peersUntrusted).toBe(1)
})

test('a peer that never had a verified certificate is left alone', async () => {
  const { recheck, live, close, drainStreams } = scene(false)
  await recheck.run({ certificates: ['junk'], crls: [] }, [live])
  expect(close).not.toHaveBeenCalled()
  expect(drainStreams).not.toHaveBeenCalled()
})
