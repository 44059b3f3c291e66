import { expect, test } from 'vitest'
import { ConfigError } from '../../../src/base/index.ts'
import { isLoopbackAddress, isLoopbackHost, listenOnAll } from '../../../src/admin/endpoint.ts'

const failure = (code: string): Error => Object.assign(new Error(code), { code })

test.each([
  ['127.0.0.1', true],
  ['127.8.9.10', true],
  ['::1', true],
  ['::ffff:127.0.0.1', true],
  ['::ffff:10.0.0.1', false],
  ['10.0.0.1', false],
  ['fe80::1', false],
  ['', false],
  ['localhost', false],
  [undefined, false],
])('the address %s is on this machine: %s', (address, isLoopback) => {
  expect(isLoopbackAddress(address)).toBe(isLoopback)
})

test.each([
  ['localhost', true],
  ['LOCALHOST:9464', true],
  ['127.0.0.1:9464', true],
  ['[::1]:9464', true],
  ['[::1]', true],
  ['localhost.', false],
  ['localhost.evil.example', false],
  ['127.0.0.1.evil.example', false],
  ['evil.example:9464', false],
  ['localhost:9464:1', false],
  ['localhost@evil.example', false],
  ['10.0.0.1', false],
  ['', false],
  [undefined, false],
])('a Host header %s names this machine: %s', (host, isLoopback) => {
  expect(isLoopbackHost(host)).toBe(isLoopback)
})

/** Listens by the book: each address either gives a port or fails with a code. */
async function listening(
  host: string,
  port: number,
  answers: Record<string, (port: number, attempt: number) => number | string>,
): Promise<{ asked: string[]; addresses: unknown; released: number }> {
  const asked: string[] = []
  let released = 0
  const addresses = await listenOnAll(
    { host, port },
    'admin.endpoint',
    (address, wanted) => {
      asked.push(`${address} ${wanted}`)
      const answer = answers[address]?.(wanted, asked.length) ?? 'EADDRNOTAVAIL'
      return typeof answer === 'string' ? Promise.reject(failure(answer)) : Promise.resolve(answer)
    },
    () => {
      released++
      return Promise.resolve()
    },
  )
  return { asked, addresses, released }
}

test('localhost is 127.0.0.1 and ::1, on the same port', async () => {
  const { asked, addresses } = await listening('localhost', 0, {
    '127.0.0.1': () => 40_000,
    '::1': (port) => port,
  })
  expect(asked).toEqual(['127.0.0.1 0', '::1 40000'])
  expect(addresses).toEqual([
    { address: '127.0.0.1', port: 40_000 },
    { address: '::1', port: 40_000 },
  ])
})

test('a machine without IPv6 listens on 127.0.0.1 alone', async () => {
  const { addresses } = await listening('localhost', 9464, {
    '127.0.0.1': (port) => port,
    '::1': () => 'EAFNOSUPPORT',
  })
  expect(addresses).toEqual([{ address: '127.0.0.1', port: 9464 }])
})

test('a port that the system chose and that is taken on ::1 is given back for another', async () => {
  const { asked, released } = await listening('localhost', 0, {
    '127.0.0.1': (_port, attempt) => 40_000 + attempt,
    '::1': (port) => (port === 40_001 ? 'EADDRINUSE' : port),
  })
  expect(asked).toEqual(['127.0.0.1 0', '::1 40001', '127.0.0.1 0', '::1 40003'])
  expect(released).toBe(1)
})

test('an empty host is every address: of both families, or of IPv4 where there is no other', async () => {
  expect((await listening('', 9464, { '::': (port) => port })).asked).toEqual([':: 9464'])
  expect(
    (await listening('', 9464, { '::': () => 'EAFNOSUPPORT', '0.0.0.0': (port) => port })).asked,
  ).toEqual([':: 9464', '0.0.0.0 9464'])
})

test.each([
  ['EADDRINUSE', 'another port'],
  ['EACCES', 'this user may listen on'],
])('an address that cannot be had (%s) names the key, the place and the remedy', async (code, remedy) => {
  const error = await listening('10.0.0.1', 80, { '10.0.0.1': () => code }).catch((error: unknown) => error)
  expect(error).toBeInstanceOf(ConfigError)
  const [fault] = (error as ConfigError).faults
  expect(fault).toMatchObject({ path: 'admin.endpoint', problem: `cannot listen on 10.0.0.1:80: ${code}` })
  expect(fault!.remedy).toContain(remedy)
})
