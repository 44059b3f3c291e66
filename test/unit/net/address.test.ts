import { describe, expect, test } from 'vitest'
import {
  AddressError,
  addressKey,
  formatEndpoint,
  isLoopbackAddress,
  isLoopbackEndpoint,
  listenEndpoints,
  parseEndpoint,
} from '../../../src/net/address.ts'

describe('an endpoint', () => {
  test.each([
    ['localhost:4317', { kind: 'tcp', host: 'localhost', port: 4317 }],
    ['0.0.0.0:0', { kind: 'tcp', host: '0.0.0.0', port: 0 }],
    ['[::1]:4317', { kind: 'tcp', host: '::1', port: 4317 }],
    ['[fe80::1%eth0]:4317', { kind: 'tcp', host: 'fe80::1%eth0', port: 4317 }],
    ['otel_collector.default.svc.cluster.local.:4317', { host: 'otel_collector.default.svc.cluster.local.' }],
    ['dns:///control-plane.example.com:4317', { kind: 'tcp', host: 'control-plane.example.com', port: 4317 }],
    ['dns:///[::1]:65535', { kind: 'tcp', host: '::1', port: 65_535 }],
    ['unix:///run/authgw/otlp.sock', { kind: 'unix', path: '/run/authgw/otlp.sock' }],
    ['unix:/run/authgw/otlp.sock', { kind: 'unix', path: '/run/authgw/otlp.sock' }],
  ])('%s is understood', (text, endpoint) => {
    expect(parseEndpoint(text)).toMatchObject(endpoint)
  })

  test.each([
    ['localhost', 'has no port', 'write localhost:4317'],
    ['', 'has no port', 'write localhost:4317'],
    [':4317', 'has no host', '0.0.0.0:4317 for all addresses'],
    ['::1:4317', 'IPv6 address without brackets', 'write [::1]:4317'],
    ['::1', 'IPv6 address without brackets', 'write [::1]:4317'],
    ['localhost:65536', 'no port from 0 to 65535', 'write host:4317'],
    ['localhost:grpc', 'no port from 0 to 65535', 'write host:4317'],
    ['localhost:', 'no port from 0 to 65535', 'write host:4317'],
    ['https://example.com:4317', 'has the scheme https', 'write host:port without it'],
    ['dns://8.8.8.8/example.com:4317', 'names a DNS server', 'three slashes'],
    ['300.1.2.3:4317', 'neither a host name nor an IP address', 'write host.example.com:4317'],
    ['[10.0.0.1]:4317', 'neither a host name nor an IP address', '[fd00::7]:4317'],
    ['under score:1', 'neither a host name nor an IP address', 'write'],
    ['-a.example:1', 'neither a host name nor an IP address', 'write'],
    ['unix://relative.sock', 'has no absolute path', 'unix:///run'],
    ['unix:///', 'has no absolute path', 'unix:///run'],
    ['unix:///a\0b', 'holds a NUL', 'unix:///run'],
    [`unix:///${'x'.repeat(107)}`, 'longer than 107 octets', 'shorter folder'],
  ])('%j is refused with a remedy', (text, problem, remedy) => {
    let caught: unknown
    try {
      parseEndpoint(text)
    } catch (error) {
      caught = error
    }
    expect(caught).toBeInstanceOf(AddressError)
    expect((caught as AddressError).message).toContain(problem)
    expect((caught as AddressError).remedy).toContain(remedy)
  })

  test('is written as it is read', () => {
    for (const text of ['10.0.0.7:4317', '[::1]:4317', 'unix:/run/x.sock']) {
      expect(formatEndpoint(parseEndpoint(text))).toBe(text)
    }
  })

  test('localhost is both loopback addresses to listen on, and nothing else is two', () => {
    expect(listenEndpoints(parseEndpoint('LocalHost:4317')).map(formatEndpoint)).toEqual([
      '127.0.0.1:4317',
      '[::1]:4317',
    ])
    expect(listenEndpoints(parseEndpoint('0.0.0.0:4317'))).toHaveLength(1)
    expect(listenEndpoints(parseEndpoint('unix:///x'))).toHaveLength(1)
  })
})

describe('loopback', () => {
  test.each(['127.0.0.1', '127.255.1.2', '::1', '0:0:0:0:0:0:0:1', '::ffff:127.0.0.1'])('%s is', (ip) => {
    expect(isLoopbackAddress(ip)).toBe(true)
  })
  test.each([
    '128.0.0.1',
    '10.0.0.1',
    '::',
    '::2',
    '1::1',
    'fe80::1',
    '::ffff:10.0.0.1',
    'localhost',
    '',
    '127.1',
  ])('%j is not', (ip) => {
    expect(isLoopbackAddress(ip)).toBe(false)
  })
  test('is what a UNIX socket and localhost are, and a name that begins like it is not', () => {
    expect(isLoopbackEndpoint(parseEndpoint('unix:///x'))).toBe(true)
    expect(isLoopbackEndpoint(parseEndpoint('localhost:1'))).toBe(true)
    expect(isLoopbackEndpoint(parseEndpoint('[::1]:1'))).toBe(true)
    expect(isLoopbackEndpoint(parseEndpoint('localhost.example.com:1'))).toBe(false)
    expect(isLoopbackEndpoint(parseEndpoint('0.0.0.0:1'))).toBe(false)
  })
})

describe('the key that connections are counted under', () => {
  test.each([
    ['10.1.2.3', '10.1.2.3'],
    ['::ffff:10.1.2.3', '10.1.2.3'],
    ['2001:db8:0:7:1:2:3:4', '2001:db8:0:7::/64'],
    ['2001:DB8::7:1:2:3:4', '2001:db8:0:7::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['unix', 'unix'],
  ])('of %s is %s', (ip, key) => {
    expect(addressKey(ip)).toBe(key)
  })
})
