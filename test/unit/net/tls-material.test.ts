import { beforeAll, describe, expect, test } from 'vitest'
import {
  NetStats,
  TlsContext,
  TlsMaterialError,
  tlsCiphers,
  tlsCurves,
  tlsVersion,
} from '../../../src/net/index.ts'
import type { FileContents, TlsOptions, TlsProblem } from '../../../src/net/index.ts'
import { DEFAULT_CIPHERS } from '../../../src/net/tls-names.ts'
import { buildTlsMaterial, pemBlocks, tlsFiles } from '../../../src/net/tls-material.ts'
import { issueCertificate, issueRevocationList } from '../../../src/cli/certs/certificate.ts'
import type { IssuedCertificate } from '../../../src/cli/certs/certificate.ts'
import { FakeClock } from '../../support/fake-clock.ts'

/** In parts: scanners for secrets take the whole for one. */
const LOCKED = ['ENCRYPTED', 'PRIVATE', 'KEY-----'].join(' ')

let ca: IssuedCertificate
let leaf: IssuedCertificate
let other: IssuedCertificate

beforeAll(async () => {
  ca = await issueCertificate({ use: 'ca', subject: 'CN=CA', notAfter: new Date('2040-01-01T00:00:00Z') })
  leaf = await issueCertificate({
    use: 'server',
    subject: 'CN=leaf',
    issuer: ca,
    notAfter: new Date('2039-01-01T00:00:00Z'),
  })
  other = await issueCertificate({ use: 'server', subject: 'CN=other', issuer: ca })
})

const noFiles: FileContents = new Map()
const files = (entries: Record<string, string | Error>): FileContents =>
  new Map(
    Object.entries(entries).map(([path, content]) => [
      path,
      content instanceof Error ? content : Buffer.from(content),
    ]),
  )

function problemsOf(
  side: 'server' | 'client',
  options: TlsOptions,
  contents: FileContents = noFiles,
): TlsProblem[] {
  try {
    buildTlsMaterial(side, options, contents)
  } catch (error) {
    expect(error).toBeInstanceOf(TlsMaterialError)
    expect((error as Error).message).not.toContain('PRIVATE KEY-----\n')
    return [...(error as TlsMaterialError).problems]
  }
  return []
}

describe('names of Go', () => {
  test('of cipher suites become OpenSSL’s, and those of TLS 1.3 stay on', () => {
    expect(tlsCiphers([])).toBe(DEFAULT_CIPHERS)
    expect(tlsCiphers(['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256', 'TLS_AES_128_GCM_SHA256'])).toBe(
      'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:ECDHE-RSA-AES128-GCM-SHA256',
    )
    expect(tlsCiphers(['TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305'])).toContain(':ECDHE-ECDSA-CHACHA20-POLY1305')
    expect(() => tlsCiphers(['TLS_RSA_WITH_AES_128_CBC_SHA'])).toThrow(
      /unknown or forbidden for HTTP\/2; choose from/,
    )
  })

  test('of curves become OpenSSL’s', () => {
    expect(tlsCurves([])).toBe('auto')
    expect(tlsCurves(['X25519MLKEM768', 'X25519', 'P256', 'P384', 'P521'])).toBe(
      'X25519MLKEM768:X25519:P-256:P-384:P-521',
    )
    expect(() => tlsCurves(['P224'])).toThrow(/curve "P224" is unknown; choose from X25519, P256/)
  })

  test('of versions become Node’s', () => {
    expect([tlsVersion('1.2'), tlsVersion('1.3')]).toEqual(['TLSv1.2', 'TLSv1.3'])
    expect(() => tlsVersion('1.1')).toThrow(/write "1.2" or "1.3"/)
  })

  test('are all known to the OpenSSL of this Node', () => {
    const { certificatePem: certPem, keyPem } = leaf
    const curvePreferences = ['X25519MLKEM768', 'X25519', 'P256', 'P384', 'P521']
    expect(problemsOf('server', { certPem, keyPem, curvePreferences })).toEqual([])
  })
})

describe('TLS material', () => {
  test('from files says when it expires and what it is', () => {
    const options = { certFile: '/c', keyFile: '/k', caFile: '/ca' }
    const material = buildTlsMaterial(
      'server',
      options,
      files({ '/c': leaf.certificatePem, '/k': leaf.keyPem, '/ca': ca.certificatePem }),
    )
    expect(material.notAfterMs).toBe(Date.parse('2039-01-01T00:00:00Z'))
    expect(material.trustNotAfterMs).toBe(Date.parse('2040-01-01T00:00:00Z'))
    expect(material.certificateSha256).toMatch(/^[\w-]{43}$/)
    expect(material.trust.certificates).toHaveLength(1)
    expect(tlsFiles(options)).toEqual(['/ca', '/c', '/k'])
  })

  test('of a client without a bundle trusts what the machine trusts; of a server, nobody', () => {
    expect(buildTlsMaterial('client', {}, noFiles).trust.certificates.length).toBeGreaterThan(50)
    const { certificatePem: certPem, keyPem } = leaf
    const server = buildTlsMaterial('server', { certPem, keyPem }, noFiles)
    expect(server.trust.certificates).toEqual([])
    expect(server.contextOptions.ca).toEqual([])
  })

  test('of a client with a bundle trusts that alone, unless include_system_ca_certs_pool is set', () => {
    const own = buildTlsMaterial('client', { caPem: ca.certificatePem }, noFiles)
    expect(own.trust.certificates).toHaveLength(1)
    const both = buildTlsMaterial(
      'client',
      { caPem: ca.certificatePem, includeSystemCaCertsPool: true },
      noFiles,
    )
    expect(both.trust.certificates.length).toBeGreaterThan(50)
  })

  test('takes a chain whose certificates follow each other, with the root or without', () => {
    const certPem = `${leaf.certificatePem}${ca.certificatePem}`
    expect(problemsOf('server', { certPem, keyPem: leaf.keyPem })).toEqual([])
  })

  test('reports every problem at once, by the option’s name', () => {
    const missing = Object.assign(new Error('no'), { code: 'ENOENT' })
    const locked = Object.assign(new Error('no'), { code: 'EACCES' })
    const problems = problemsOf(
      'server',
      { certFile: '/c', keyFile: '/k', caFile: '/ca', minVersion: '1.0', curvePreferences: ['X'] },
      files({ '/c': missing, '/k': locked, '/ca': 'nothing' }),
    )
    expect(problems.map(({ option }) => option).sort()).toEqual([
      'cert_file',
      'client_ca_file',
      'curve_preferences',
      'key_file',
      'min_version',
    ])
    expect(problems.find(({ option }) => option === 'cert_file')).toMatchObject({
      problem: '"/c" cannot be read (ENOENT)',
      remedy: 'make the file or correct the path',
    })
    expect(problems.find(({ option }) => option === 'key_file')?.remedy).toContain(
      'let the user that runs authgw',
    )
  })

  test.each<[string, () => TlsOptions, string, RegExp]>([
    [
      'a key of another certificate',
      () => ({ certPem: leaf.certificatePem, keyPem: other.keyPem }),
      'key_file',
      /does not belong/,
    ],
    [
      'the key of a later certificate',
      () => ({ certPem: `${ca.certificatePem}${leaf.certificatePem}`, keyPem: leaf.keyPem }),
      'key_file',
      /later certificate/,
    ],
    [
      'a chain with a stray certificate',
      () => ({ certPem: `${leaf.certificatePem}${other.certificatePem}`, keyPem: leaf.keyPem }),
      'cert_file',
      /certificate 2 has issued none/,
    ],
    ['no certificate on a server', () => ({}), 'cert_file', /a TLS listener needs a certificate/],
    ['a certificate without a key', () => ({ certPem: leaf.certificatePem }), 'key_file', /go together/],
    ['a key without a certificate', () => ({ keyPem: leaf.keyPem }), 'cert_file', /go together/],
    [
      'something that is no key',
      () => ({ certPem: leaf.certificatePem, keyPem: 'x' }),
      'key_file',
      /no private key/,
    ],
    [
      'an encrypted key',
      () => ({
        certPem: leaf.certificatePem,
        keyPem: `-----BEGIN ${LOCKED}\nAAAA\n-----END ${LOCKED}`,
      }),
      'key_file',
      /encrypted/,
    ],
    [
      'a damaged certificate',
      () => ({
        certPem: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----',
        keyPem: leaf.keyPem,
      }),
      'cert_file',
      /certificate 1 of 1 is damaged/,
    ],
    [
      'a maximum below the minimum',
      () => ({ certPem: leaf.certificatePem, keyPem: leaf.keyPem, minVersion: '1.3', maxVersion: '1.2' }),
      'min_version',
      /above max_version/,
    ],
  ])('with %s is refused', (_what, options, option, problem) => {
    const problems = problemsOf('server', options())
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatchObject({ option })
    expect(problems[0]!.problem).toMatch(problem)
    expect(problems[0]!.remedy).not.toBe('')
  })

  test('with a file and PEM for the same thing is refused', () => {
    const problems = problemsOf('client', { caFile: '/ca', caPem: ca.certificatePem })
    expect(problems[0]).toMatchObject({ option: 'ca_file', remedy: 'keep one of the two' })
  })

  test('takes a revocation list, and refuses a file that holds none or a broken one', async () => {
    const { certificatePem: certPem, keyPem } = leaf
    const crl = await issueRevocationList(ca, [other])
    const options = { certPem, keyPem, caPem: ca.certificatePem, crlFile: '/crl' }
    const material = buildTlsMaterial('server', options, files({ '/crl': crl }))
    const without = buildTlsMaterial('server', { certPem, keyPem, caPem: ca.certificatePem }, noFiles)
    expect(material.trust.crls).toHaveLength(1)
    expect(material.trustFingerprint).not.toBe(without.trustFingerprint)
    expect(problemsOf('server', options, files({ '/crl': 'x' }))[0]).toMatchObject({ option: 'crl_file' })
    const broken = '-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----'
    expect(problemsOf('server', options, files({ '/crl': broken }))[0]).toMatchObject({ option: 'crl_file' })
  })

  test('finds PEM blocks among other text', () => {
    const text = `Bag Attributes\n${ca.certificatePem}junk\n${leaf.certificatePem}`
    expect(pemBlocks(text, 'CERTIFICATE')).toHaveLength(2)
    expect(pemBlocks(text, 'X509 CRL')).toEqual([])
  })
})

describe('a TLS context', () => {
  async function watched() {
    const disk = new Map([
      ['/tls/cert.pem', leaf.certificatePem],
      ['/tls/key.pem', leaf.keyPem],
    ])
    const clock = new FakeClock()
    const stats = new NetStats()
    const context = await TlsContext.open({
      side: 'server',
      tls: { certFile: '/tls/cert.pem', keyFile: '/tls/key.pem' },
      clock,
      stats,
      readFile: (path) => Promise.resolve(Buffer.from(disk.get(path)!)),
      watchFolder: () => () => {},
    })
    return { disk, clock, stats, context }
  }

  test('swaps to material that fits together, under a new generation', async () => {
    const { disk, clock, stats, context } = await watched()
    const generations: number[] = []
    context.subscribe(({ generation }) => generations.push(generation))
    disk.set('/tls/cert.pem', other.certificatePem)
    disk.set('/tls/key.pem', other.keyPem)
    await clock.advance(30_000)
    expect(generations).toEqual([2])
    expect(context.generation).toBe(2)
    expect(stats).toMatchObject({ reloads: 1, reloadsFailed: 0 })
    expect(context.loadedAtMs).toBe(clock.wallMs())
  })

  test('keeps the last good material while a rotation is half done', async () => {
    const { disk, clock, stats, context } = await watched()
    const before = context.material
    disk.set('/tls/cert.pem', other.certificatePem)
    await clock.advance(30_000)
    expect(context.material).toBe(before)
    expect(context.isLastReloadOk).toBe(false)
    expect(stats.reloadsFailed).toBe(1)
    disk.set('/tls/key.pem', other.keyPem)
    await context.reload()
    expect(context.isLastReloadOk).toBe(true)
    expect(context.generation).toBe(2)
  })

  test('does not swap a valid certificate for an expired one', async () => {
    const { disk, context } = await watched()
    const expired = await issueCertificate({
      use: 'server',
      subject: 'CN=old',
      issuer: ca,
      notBefore: new Date('2020-01-01T00:00:00Z'),
      notAfter: new Date('2021-01-01T00:00:00Z'),
    })
    disk.set('/tls/cert.pem', expired.certificatePem)
    disk.set('/tls/key.pem', expired.keyPem)
    await context.reload()
    expect(context.generation).toBe(1)
    expect(context.isLastReloadOk).toBe(false)
  })

  test('does not open with material that cannot be used', async () => {
    const clock = new FakeClock()
    const opening = TlsContext.open({
      side: 'client',
      tls: { caFile: '/none' },
      clock,
      stats: new NetStats(),
      readFile: () => Promise.reject(Object.assign(new Error('no'), { code: 'ENOENT' })),
    })
    await expect(opening).rejects.toThrow('ca_file: "/none" cannot be read (ENOENT); make the file')
    expect(clock.timerCount).toBe(0)
  })

  test('stops to look once it is closed', async () => {
    const { disk, clock, context } = await watched()
    context.close()
    disk.set('/tls/cert.pem', other.certificatePem)
    await clock.advance(60_000)
    expect(context.generation).toBe(1)
    expect(clock.timerCount).toBe(0)
  })
})
