import { copyFileSync, readFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { connect, createServer as createTcpServer } from 'node:net'
import type { AddressInfo, Server as TcpServer } from 'node:net'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { HttpClient } from '../../src/net/index.ts'
import type { HttpFetchOptions } from '../../src/net/index.ts'
import { NetHarness, until } from '../support/net-harness.ts'

let net: NetHarness
type Answer = (request: IncomingMessage, response: ServerResponse) => void

beforeAll(async () => {
  net = await NetHarness.create()
})
afterEach(() => net.reset())
afterAll(() => {
  net.remove()
})

async function listening(server: Server | TcpServer): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  net.onEnd(() => {
    if ('closeAllConnections' in server) server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

const http = async (answer: Answer): Promise<string> =>
  `http://127.0.0.1:${await listening(createHttpServer(answer))}`

async function https(answer: Answer): Promise<string> {
  const { certFile, keyFile } = net.pki.server
  const server = createHttpsServer(
    {
      cert: readFileSync(certFile),
      key: readFileSync(keyFile),
      ca: readFileSync(net.pki.ca.certFile),
      requestCert: true,
      rejectUnauthorized: false,
    },
    answer,
  )
  return `https://127.0.0.1:${await listening(server)}`
}

function client(options: Partial<HttpFetchOptions> = {}): HttpClient {
  const made = new HttpClient({ tls: null, environment: {}, ...options })
  net.onEnd(() => made.close())
  return made
}

/** The code behind a failed fetch. */
async function failure(fetching: Promise<unknown>): Promise<{ code: string; message: string }> {
  const error: unknown = await fetching.then(
    () => null,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(TypeError)
  return (error as TypeError).cause as { code: string; message: string }
}

describe('HTTP to an identity provider', () => {
  test('gives status, fields and body, and sends method, fields and body', async () => {
    const url = await http((request, response) => {
      let body = ''
      request.on('data', (chunk: Buffer) => (body += chunk.toString()))
      request.on('end', () => {
        response
          .writeHead(201, { 'x-seen': `${request.method} ${String(request.headers['x-a'])} ${body}` })
          .end('{"ok":1}')
      })
    })
    const response = await client().fetch(`${url}/token`, {
      method: 'POST',
      headers: { 'x-a': 'b' },
      body: 'c=d',
    })
    expect(response.status).toBe(201)
    expect(response.headers.get('x-seen')).toBe('POST b c=d')
    expect(await response.json()).toEqual({ ok: 1 })
  })

  test('trusts the given CA alone', async () => {
    const url = await https((_request, response) => response.end('fine'))
    const trusting = client({ tls: await net.context('client', { caFile: net.pki.ca.certFile }) })
    expect(await (await trusting.fetch(url)).text()).toBe('fine')
    const other = client({ tls: await net.context('client', { caFile: net.pki.strangerCa.certFile }) })
    expect((await failure(other.fetch(url))).code).toMatch(/^(UNABLE_TO|SELF_SIGNED)/)
    expect((await failure(client().fetch(url))).code).toMatch(/^(UNABLE_TO|SELF_SIGNED)/)
  })

  test('shows its certificate, and the new one after a rotation', async () => {
    const url = await https((request, response) => {
      response.end((request.socket as TLSSocket).getPeerX509Certificate()?.subject ?? 'none')
    })
    const second = await net.pki.ca.issue('rotated', { use: 'client', commonName: 'rotated' })
    const folder = net.folder()
    const files = { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') }
    copyFileSync(net.pki.client.certFile, files.certFile)
    copyFileSync(net.pki.client.keyFile, files.keyFile)
    const tls = await net.context('client', { caFile: net.pki.ca.certFile, ...files })
    const fetching = client({ tls })
    expect(await (await fetching.fetch(url)).text()).toBe('CN=client')
    copyFileSync(second.keyFile, files.keyFile)
    copyFileSync(second.certFile, files.certFile)
    await until(() => {
      expect(tls.generation).toBe(2)
    })
    expect(await (await fetching.fetch(url)).text()).toBe('CN=rotated')
  })

  test('ends a body above the cap, also one that grows when unpacked', async () => {
    const url = await http((request, response) => {
      if (request.url === '/packed') {
        response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(8 * 1024 * 1024)))
      } else {
        response.end(Buffer.alloc(Number(request.url!.slice(1))))
      }
    })
    const fetching = client()
    const whole = await (await fetching.fetch(`${url}/1048576`)).arrayBuffer()
    expect(whole.byteLength).toBe(1_048_576)
    await expect((await fetching.fetch(`${url}/1048577`)).arrayBuffer()).rejects.toThrow(TypeError)
    const packed = await fetching.fetch(`${url}/packed`)
    expect((await failure(packed.arrayBuffer())).code).toBe('ERR_BODY_TOO_LARGE')
  })

  test('asks for nothing packed', async () => {
    const url = await http((request, response) => response.end(request.headers['accept-encoding']))
    expect(await (await client().fetch(url)).text()).toBe('identity')
  })

  test('follows a redirect within one origin, and never to another', async () => {
    const elsewhere = await http((_request, response) => response.end('stolen'))
    const url = await http((request, response) => {
      if (request.url === '/end') response.end('here')
      else if (request.url === '/away') response.writeHead(302, { location: `${elsewhere}/x` }).end()
      else if (request.url === '/round') response.writeHead(302, { location: '/round' }).end()
      else response.writeHead(302, { location: '/end' }).end()
    })
    const fetching = client()
    expect(await (await fetching.fetch(`${url}/start`)).text()).toBe('here')
    expect(await failure(fetching.fetch(`${url}/away`))).toMatchObject({
      code: 'ERR_REDIRECT',
      message: expect.stringContaining('redirects to another host') as string,
    })
    expect((await failure(fetching.fetch(`${url}/round`))).message).toContain('more than 3 times')
    expect((await failure(fetching.fetch(`${url}/start`, { method: 'POST', body: 'secret' }))).code).toBe(
      'ERR_REDIRECT',
    )
    expect((await failure(fetching.fetch(`${url}/start`, { redirect: 'error' }))).code).toBe('ERR_REDIRECT')
    expect((await fetching.fetch(`${url}/start`, { redirect: 'manual' })).status).toBe(302)
  })

  test('gives up on a host that does not finish the TLS handshake', async () => {
    const port = await listening(
      createTcpServer((socket) => {
        socket.on('error', () => {})
        socket.resume()
        net.onEnd(() => socket.destroy())
      }),
    )
    const fetching = client({ connectTimeoutMs: 300 })
    expect((await failure(fetching.fetch(`https://127.0.0.1:${port}`))).code).toBe('UND_ERR_CONNECT_TIMEOUT')
  })

  test('says who refuses', async () => {
    const server = createTcpServer()
    const port = await listening(server)
    await new Promise((resolve) => server.close(resolve))
    expect((await failure(client().fetch(`http://127.0.0.1:${port}`))).code).toBe('ECONNREFUSED')
  })

  test('ends with its caller’s signal', async () => {
    const url = await http(() => {})
    const abort = new AbortController()
    const fetching = client().fetch(url, { signal: abort.signal })
    abort.abort(new Error('enough'))
    await expect(fetching).rejects.toThrow('enough')
  })

  test('asks for nothing once it is closed', async () => {
    const url = await http((_request, response) => response.end('x'))
    const fetching = client()
    await fetching.close()
    expect((await failure(fetching.fetch(url))).code).toBe('ERR_CLOSED')
  })
})

describe('a proxy', () => {
  async function proxy(): Promise<{ url: string; targets: string[] }> {
    const targets: string[] = []
    const server = createHttpServer()
    server.on('connect', (request, socket) => {
      targets.push(request.url!)
      const port = Number(request.url!.split(':').at(-1))
      const through = connect({ host: '127.0.0.1', port }, () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        through.pipe(socket).pipe(through)
      })
      through.on('error', () => socket.destroy())
      socket.on('error', () => through.destroy())
      net.onEnd(() => through.destroy())
    })
    return { url: `http://127.0.0.1:${await listening(server)}`, targets }
  }

  test('named by HTTPS_PROXY is used, and the provider’s certificate is still checked', async () => {
    const { url: proxyUrl, targets } = await proxy()
    const origin = await https((_request, response) => response.end('through'))
    const port = new URL(origin).port
    const server = await net.pki.ca.issue('idp', { use: 'server', san: 'DNS:idp.example.org' })
    expect(server.certFile).toContain('idp')
    const tls = await net.context('client', { caFile: net.pki.ca.certFile })
    const environment = { HTTPS_PROXY: proxyUrl }
    const named = client({ tls, environment, serverNameOverride: 'localhost' })
    expect(await (await named.fetch(`https://idp.example.org:${port}/`)).text()).toBe('through')
    expect(targets).toEqual([`idp.example.org:${port}`])
    const strict = client({ tls, environment })
    expect((await failure(strict.fetch(`https://idp.example.org:${port}/`))).code).toBe(
      'ERR_TLS_CERT_ALTNAME_INVALID',
    )
  })

  test('is passed by for NO_PROXY and for this machine', async () => {
    const { url: proxyUrl, targets } = await proxy()
    const origin = await https((_request, response) => response.end('direct'))
    const tls = await net.context('client', { caFile: net.pki.ca.certFile })
    const fetching = client({ tls, environment: { https_proxy: proxyUrl } })
    expect(await (await fetching.fetch(origin)).text()).toBe('direct')
    const exempt = client({
      tls,
      environment: { https_proxy: proxyUrl, no_proxy: '.invalid' },
    })
    const code = (await failure(exempt.fetch('https://idp.invalid:8443/'))).code
    expect(['ENOTFOUND', 'EAI_AGAIN']).toContain(code)
    expect(targets).toEqual([])
  })
})
