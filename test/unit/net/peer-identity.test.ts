import { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  certificatePeer,
  isNameAllowed,
  parseAltNames,
  plaintextPeer,
} from '../../../src/net/peer-identity.ts'
import { issueCertificate } from '../../../src/cli/certs/certificate.ts'

describe('subject alternative names in Node’s text form', () => {
  test('are split into kinds and values', () => {
    expect(parseAltNames('DNS:a.example, URI:spiffe://td/x, IP Address:0:0:0:0:0:0:0:1, email:a@b')).toEqual([
      { type: 'DNS', value: 'a.example' },
      { type: 'URI', value: 'spiffe://td/x' },
      { type: 'IP Address', value: '0:0:0:0:0:0:0:1' },
      { type: 'email', value: 'a@b' },
    ])
    expect(parseAltNames('')).toEqual([])
  })

  test('in JSON quotes are one name, whatever they hold', () => {
    expect(parseAltNames('URI:"http://x/, DNS:admin.example", DNS:b')).toEqual([
      { type: 'URI', value: 'http://x/, DNS:admin.example' },
      { type: 'DNS', value: 'b' },
    ])
    expect(parseAltNames(String.raw`DNS:"a\", DNS:b\\", DNS:c`)).toEqual([
      { type: 'DNS', value: String.raw`a", DNS:b` + '\\' },
      { type: 'DNS', value: 'c' },
    ])
    expect(parseAltNames(String.raw`DNS:"a\u0000b"`)).toEqual([{ type: 'DNS', value: 'a\0b' }])
  })

  test.each(['DNS', 'DNS:"a', String.raw`DNS:"a\x"`, 'DNS:"a"b'])('of another form give none: %s', (text) => {
    expect(parseAltNames(text)).toBeNull()
  })
})

describe('the identity of a peer', () => {
  test('comes from the names of its certificate, and a name that holds a separator stays one name', async () => {
    const { certificatePem } = await issueCertificate({
      use: 'client',
      subject: 'CN=admin.example.org',
      altNames: [
        { type: 'dns', value: 'Workload.Example.org' },
        { type: 'url', value: 'http://x/, DNS:admin.example.org' },
        { type: 'url', value: 'spiffe://example.org/workload' },
      ],
      notAfter: new Date('2030-01-02T03:04:05Z'),
    })
    const peer = certificatePeer(new X509Certificate(certificatePem), '192.0.2.1', false)
    expect(peer).toMatchObject({
      isVerified: true,
      isLocal: false,
      address: '192.0.2.1',
      dnsNames: ['workload.example.org'],
      uris: ['http://x/, DNS:admin.example.org', 'spiffe://example.org/workload'],
      notAfterMs: Date.parse('2030-01-02T03:04:05Z'),
    })
    expect(peer.certificateSha256).toMatch(/^[A-Za-z0-9_-]{43}$/)
  })

  test('is an address without one', () => {
    expect(plaintextPeer('127.0.0.1')).toMatchObject({
      isVerified: false,
      isLocal: true,
      address: '127.0.0.1',
    })
    expect(plaintextPeer('10.0.0.1')).toMatchObject({
      isVerified: false,
      isLocal: false,
      notAfterMs: Infinity,
    })
    expect(plaintextPeer('::ffff:10.0.0.1')).toMatchObject({ isLocal: false, address: '10.0.0.1' })
    expect(plaintextPeer('::FFFF:127.0.0.1')).toMatchObject({ isLocal: true, address: '127.0.0.1' })
    expect(plaintextPeer(undefined)).toMatchObject({ isLocal: true, address: 'unix' })
  })
})

describe('allowed_sans', () => {
  const peer = { dnsNames: ['a.example.org'], uris: ['spiffe://example.org/ns/prod/sa/workload'] }
  test.each([
    'a.example.org',
    'A.Example.ORG',
    'DNS:a.example.org',
    '*.example.org',
    'spiffe://example.org/ns/prod/sa/workload',
    'URI:spiffe://example.org/ns/prod/sa/workload',
    'spiffe://example.org/ns/prod/*',
    'spiffe://example.org/*',
  ])('%s lets it in', (entry) => {
    expect(isNameAllowed(peer, ['nobody.example', entry])).toBe(true)
  })
  test.each([
    'example.org',
    'b.example.org',
    '*.org',
    '*.a.example.org',
    'spiffe://example.org',
    'spiffe://example.org/ns/prod/sa/Workload',
    'spiffe://example.org*',
    'spiffe://example.org/ns/pro*',
    'spiffe://*',
    'spiffe://other.org/*',
    '',
    '*',
  ])('%j does not', (entry) => {
    expect(isNameAllowed(peer, [entry])).toBe(false)
  })
  test('that are empty let everyone in whom TLS has verified', () => {
    expect(isNameAllowed({ dnsNames: [], uris: [] }, [])).toBe(true)
  })
})
