import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runProgram } from '../../src/cli/index.ts'
import { Canary } from '../support/canary.ts'
import { makePki } from '../support/dev-pki.ts'
import type { Pki } from '../support/dev-pki.ts'
import { startGateway } from '../support/gateway-process.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { waitFor } from '../support/gateway-pair.ts'
import type { PairIngress } from '../support/gateway-pair.ts'
import { echo } from '../support/grpc-peer.ts'
import type { CallOptions, GrpcServed, Outcome } from '../support/grpc-peer.ts'
import { TestIssuer } from '../support/issuer.ts'
import { connectNodeHttp2, nodeHttp2 } from '../support/node-http2-kit.ts'

const canary = new Canary()
const folder = mkdtempSync(join(tmpdir(), 'authgw-secrets-'))
const file = (name: string, text: string): string => {
  const path = join(folder, name)
  writeFileSync(path, text, { mode: 0o600 })
  return path
}

const secret = {
  basic: canary.plant('client secret, Basic'),
  post: canary.plant('client secret, body'),
  fromFile: canary.plant('client secret, file'),
  fromEnv: canary.plant('client secret, environment'),
  parameter: canary.plant('endpoint parameter'),
  header: canary.plant('upstream header'),
  reloaded: canary.plant('client secret, after a reload'),
}
const signingKey = canary.watchKey(
  'client signing key',
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'pem', type: 'pkcs8' }),
)
const assertion = canary.watchToken('client assertion', fakeJwt(canary.plant('client assertion')))
const subjectToken = canary.watchToken('subject token', fakeJwt(canary.plant('subject token')))
const fileToken = canary.watch('token of a file', canary.plant('token of a file'))

/** What the provider says to the client of each name. */
const misbehaviour: Record<string, (response: ServerResponse) => void> = {
  refused: answerWith(401, { error: 'invalid_client', error_description: canary.plant('error_description') }),
  oddError: answerWith(400, {
    error: canary.plant('error'),
    error_uri: `https://idp/${canary.plant('error_uri')}`,
  }),
  html: (response) =>
    response.writeHead(502, { 'content-type': 'text/html' }).end(`<b>${canary.plant('HTML body')}</b>`),
  cut: (response) =>
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(`{"access_token": "${canary.plant('token in broken JSON')}", `),
  wrongType: answerWith(200, {
    access_token: [canary.plant('token of the wrong type')],
    refresh_token: canary.plant('refresh token'),
    token_type: 'Bearer',
  }),
  oddType: answerWith(200, {
    access_token: canary.plant('token of an odd kind'),
    token_type: canary.plant('token_type'),
  }),
  lineBreak: answerWith(200, {
    access_token: `${canary.plant('token with a line break')}\r\nx: y`,
    token_type: 'Bearer',
    expires_in: 300,
  }),
  redirect: (response) =>
    response.writeHead(302, { location: `http://localhost:1/?code=${canary.plant('redirect')}` }).end(),
  opaque: answerWith(200, {
    access_token: canary.plant('opaque token'),
    token_type: 'Bearer',
    expires_in: 300,
  }),
}

function answerWith(status: number, body: object): (response: ServerResponse) => void {
  return (response) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

function fakeJwt(marker: string): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'RS256' })}.${part({ sub: 'x', jti: marker })}.${Buffer.from(marker).toString('base64url')}`
}

/** What came to the provider, to see that the secrets were really used. */
const received: string[] = []
let provider: Server
let issuer: TestIssuer
let served: GrpcServed
let pki: Pki
const gateways: GatewayProcess[] = []

beforeAll(async () => {
  provider = createServer((request, response) => void respond(request, response))
  await new Promise<void>((resolve) => provider.listen(0, '127.0.0.1', resolve))
  const { port } = provider.address() as AddressInfo
  issuer = await TestIssuer.create({ wallMs: () => Date.now() }, { issuer: `http://127.0.0.1:${port}` })
  pki = await makePki(folder)
  served = await nodeHttp2.serve()
  served.respond = echo
})
afterAll(async () => {
  await Promise.all(gateways.map((gateway) => gateway.stop()))
  await served.close()
  provider.closeAllConnections()
  provider.close()
  rmSync(folder, { recursive: true, force: true })
})

async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body: Buffer[] = []
  for await (const chunk of request) body.push(chunk as Buffer)
  received.push(`${request.headers.authorization ?? ''} ${Buffer.concat(body).toString()}`)
  const name = /^\/token\/(\w+)/.exec(request.url ?? '')?.[1]
  if (name !== undefined && misbehaviour[name] !== undefined) return misbehaviour[name](response)
  if (name !== undefined) {
    const answer = await issuer.tokenResponse({ expiresInSeconds: 300 })
    canary.watchToken('access token', String(answer['access_token']))
    return answerWith(200, { ...answer, refresh_token: canary.plant('refresh token') })(response)
  }
  const answer = await issuer.fetch(`${issuer.issuer}${request.url}`, {})
  response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text())
}

/** One identity for each way to authenticate and each way to misbehave; its name is the service that uses it. */
function identities(): string {
  const list: [name: string, keys: string][] = [
    ['basic', `client_secret: ${secret.basic}, endpoint_params: {client_secret_hint: ${secret.parameter}}`],
    ['post', `client_secret: ${secret.post}, auth_style: post`],
    ['file', `client_secret_file: ${file('client-secret', secret.fromFile)}`],
    ['environment', 'client_secret: "${env:CANARY_SECRET}"'],
    ['key', `client_certificate_key: ${JSON.stringify(signingKey)}, auth_style: private_key_jwt`],
    [
      'assertion',
      `client_assertion_file: ${file('assertion', assertion)}, auth_style: client_assertion_file`,
    ],
    [
      'exchange',
      `client_secret: ${secret.basic}, grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange', subject_token_file: ${file('subject', subjectToken)}`,
    ],
    ...Object.keys(misbehaviour).map((name): [string, string] => [name, `client_secret: ${secret.basic}`]),
  ]
  const entries = list.map(
    ([name, keys]) =>
      `    - {name: ${name}, oauth2client: {token_url: '${issuer.issuer}/token/${name}', client_id: workload, ${keys}}}`,
  )
  const bearer = `    - {name: bearer, bearertokenauth: {filename: ${file('bearer', fileToken)}}}`
  const routes = [...list.map(([name]) => name), 'bearer'].map(
    (name) => `    - {prefix: /canary.${name}., identity: ${name}}`,
  )
  return `  identities:\n${[...entries, bearer].join('\n')}\n  routes:\n${routes.join('\n')}\n`
}

const SERVICES = (): string[] => [
  'basic',
  'post',
  'file',
  'environment',
  'key',
  'assertion',
  'exchange',
  'bearer',
  ...Object.keys(misbehaviour),
]
const LOUDEST = (encoding: string): string =>
  `service: {telemetry: {logs: {level: debug, encoding: ${encoding}}}}\ndrain: {delay: 0s, timeout: 2s}\n`

const workloadYaml = (controlPlanePort: number): string => `workload:
  listen: {endpoint: 127.0.0.1:%ingress%}
  upstream:
    endpoint: 127.0.0.1:${controlPlanePort}
    tls: {ca_file: ${pki.ca.certFile}, cert_file: ${pki.client.certFile}, key_file: ${pki.client.keyFile}, server_name_override: localhost}
    headers: {x-api-key: ${secret.header}, x-plain: ${secret.header}}
${identities()}  allow_methods: [${SERVICES()
  .map((name) => `canary.${name}.Service`)
  .join(', ')}]
${LOUDEST('console')}`

const controlPlaneYaml = (): string => `control_plane:
  listen:
    endpoint: 127.0.0.1:%ingress%
    tls: {cert_file: ${pki.server.certFile}, key_file: ${pki.server.keyFile}, client_ca_file: ${pki.ca.certFile}}
  upstream: {endpoint: 127.0.0.1:${served.port}}
  oidc: {providers: [{issuer_url: ${issuer.issuer}, audience: control-plane}]}
  policy: {rules: [{to: {methods: ['/canary.*']}}]}
${LOUDEST('json')}`

const PAGES = [
  '/metrics',
  '/',
  '/config',
  '/livez?verbose',
  '/readyz?verbose',
  '/startupz?verbose',
  '/nothing',
]

async function readPages(name: string, { ports }: GatewayProcess): Promise<void> {
  for (const page of PAGES) {
    for (const accept of ['text/html', '*/*']) {
      const answer = await fetch(`http://127.0.0.1:${ports['admin']}${page}`, { headers: { accept } })
      canary.collect(`${name} ${page}`, await answer.text())
    }
  }
}

/** Lets a test send two `authorization` fields; newer than the types. */
const MAY_REPEAT: object = { strictSingleValueFields: false }

/** Calls, and keeps what the caller sees. */
async function call(where: string, ingress: PairIngress, options: CallOptions): Promise<Outcome> {
  const caller = connectNodeHttp2(ingress, MAY_REPEAT)
  const outcome = await caller.unary(Buffer.from('m'), { timeoutMs: 5000, ...options })
  caller.close()
  const { head, trailers, message } = outcome
  const text = (value: string | Buffer): string =>
    typeof value === 'string' ? value : value.toString('latin1')
  const fields = [head, trailers].flatMap((list) => Object.entries(list))
  canary.collect(
    where,
    [message, ...fields.map(([name, values]) => `${name}: ${values.map(text).join(', ')}`)].join('\n'),
  )
  return outcome
}

async function cli(where: string, ...args: string[]): Promise<number> {
  const write = (text: string): void => canary.collect(where, text)
  return runProgram(args, {
    io: {
      out: write,
      err: write,
      readInput: () => Promise.resolve(''),
      env: { CANARY_SECRET: secret.fromEnv },
      nowMs: () => Date.now(),
      onSignal: () => {},
      version: '0.0.0',
      nodeVersion: '0.0.0',
      canDumpMemory: false,
    },
    startRoles: () => Promise.reject(new Error('nothing is started here')),
    pages: () => Promise.resolve([]),
  })
}

/** Configurations with a fault beside, around or in a secret. */
const faulty = (marker: string): Record<string, string> => ({
  'a syntax error': `workload:\n  oauth2client:\n    client_secret: "${marker}\n    client_id: x: y\n`,
  'a tab': `workload:\n\toauth2client: {client_secret: ${marker}}\n`,
  'a list for a secret': `workload: {oauth2client: {client_secret: [${marker}]}}`,
  'a section for a secret': `workload: {oauth2client: {client_secret: {value: ${marker}}}}`,
  'a misspelt key': `workload: {oauth2client: {client_secert: ${marker}, client_certificate_kye: ${marker}}}`,
  'a secret in a URL': `workload: {oauth2client: {issuer_url: 'https://user:${marker}@idp.example'}}`,
  'a secret in a token URL': `workload: {oauth2client: {token_url: 'ftp://user:${marker}@idp.example'}}`,
  'a secret in a plain URL': `workload: {oauth2client: {issuer_url: 'http://user:${marker}@idp.example'}}`,
  'one text for all headers': `workload: {upstream: {headers: 'Bearer ${marker}'}}`,
  'a list of headers': `workload: {upstream: {headers: [{authorization: 'Bearer ${marker}'}]}}`,
  'a reference within a secret': `workload: {oauth2client: {client_secret: 'a\${${marker}'}}`,
  'an unknown reference within a secret': `workload: {oauth2client: {client_secret: 'a\${${marker}}b'}}`,
  'two secrets': `workload: {oauth2client: {client_secret: ${marker}, client_secret_file: nowhere}}`,
  'a key that is none': `control_plane: {listen: {tls: {key_pem: ${marker}, cert_pem: ${marker}}}}`,
  'a number for a section': `workload: {oauth2client: {client_secret: ${marker}, timeout: never, tls: 5}}`,
})

test('no secret comes out at the most verbose level: of logs, metrics, pages, statuses, errors, commands', async () => {
  const env = { CANARY_SECRET: secret.fromEnv }
  const inner = await startGateway(controlPlaneYaml())
  gateways.push(inner)
  const outer = await startGateway(workloadYaml(inner.ports['ingress']!), { env })
  gateways.push(outer)
  const client = {
    ca: readFileSync(pki.ca.certFile),
    cert: readFileSync(pki.client.certFile),
    key: readFileSync(pki.client.keyFile),
  }
  const front: PairIngress = { port: outer.ports['ingress']!, tls: null, token: null }
  const back = (token: string | null): PairIngress => ({ port: inner.ports['ingress']!, tls: client, token })

  // Each way to a token, and each way in which a provider fails.
  const statuses: Record<string, number> = {}
  for (const name of SERVICES()) {
    const metadata = {
      authorization: [`Bearer ${canary.plant("the caller's own token")}`],
      'x-secret': [canary.plant('metadata')],
    }
    const { status } = await call(`status of ${name}`, front, {
      path: `/canary.${name}.Service/Call`,
      metadata,
    })
    statuses[name] = status
  }
  const good = ['basic', 'post', 'file', 'environment', 'key', 'assertion', 'exchange']
  expect(good.map((name) => [name, statuses[name]])).toEqual(good.map((name) => [name, 0]))
  const bad = SERVICES().filter((name) => !good.includes(name))
  expect(bad.filter((name) => statuses[name] === 0)).toEqual([])

  // Each way in which a token is refused.
  const tokens = {
    malformed: canary.plant('malformed token'),
    forged: await issuer.forge(),
    expired: await issuer.mint({ expiresInSeconds: -3600 }),
    early: await issuer.mint({ claims: { nbf: Math.floor(Date.now() / 1000) + 3600 } }),
    elsewhere: await issuer.mint({ claims: { aud: 'elsewhere' } }),
    stranger: await issuer.mint({ claims: { iss: 'https://stranger.example' } }),
    'unknown kid': await issuer.mint({ header: { kid: 'unknown' } }),
    none: issuer.raw({ header: { alg: 'none' } }, ''),
  }
  for (const [name, token] of Object.entries(tokens)) {
    canary.watchToken(`${name} token`, token)
    expect(
      (await call(`refusal of ${name}`, back(token), { path: '/canary.basic.Service/Call' })).status,
    ).not.toBe(0)
  }
  const odd = [
    `Basic ${Buffer.from(`x:${canary.plant('password')}`).toString('base64')}`,
    canary.plant('bare token'),
  ]
  for (const authorization of [[odd[0]!], [odd[1]!], odd])
    await call('refusal of another scheme', back(null), {
      path: '/canary.basic.Service/Call',
      metadata: { authorization },
    })
  await call('denied by policy', back(await issuer.mint()), { path: '/elsewhere.Service/Call' })
  const queryToken = canary.plant('token in a query')
  await call('a token in the path', back(null), {
    path: `/canary.basic.Service/Call?access_token=${queryToken}`,
  })

  await readPages('workload', outer)
  await readPages('control plane', inner)

  // A provider that is gone, reloads with good and bad files, keys that are overwritten.
  provider.closeAllConnections()
  await new Promise((resolve) => provider.close(resolve))
  await call('during an outage', front, { path: '/canary.refused.Service/Call' })
  const workloadText = readFileSync(outer.configFile, 'utf8')
  for (const [name, text] of Object.entries(faulty(canary.plant('reloaded with a fault')))) {
    writeFileSync(outer.configFile, text)
    const seenBytes = outer.logs().length
    outer.signal('SIGHUP')
    await waitFor(() => outer.logs().slice(seenBytes).includes('not reloaded'), 5000, `${name} is refused`)
  }
  writeFileSync(outer.configFile, workloadText.replaceAll(secret.basic, secret.reloaded))
  outer.signal('SIGHUP')
  await waitFor(() => outer.logs().includes('reloaded:'), 5000, 'the good file is loaded')
  const brokenKey = pki.server.keyPem.replace(
    /\n[\w+/=]{20}/,
    (line) => `\n${line.slice(1).split('').reverse().join('')}`,
  )
  canary.watchKey('TLS key', pki.server.keyPem)
  canary.watchKey('TLS key, broken', brokenKey)
  writeFileSync(pki.server.keyFile, brokenKey)
  inner.signal('SIGHUP')
  await waitFor(() => inner.logs().includes('not reloaded'), 5000, 'the broken key is refused')
  await readPages('workload, reloaded', outer)
  await readPages('control plane, reloaded', inner)

  // The commands.
  for (const [name, text] of Object.entries(faulty(canary.plant('a configuration with a fault')))) {
    const path = file('faulty.yaml', text)
    expect([name, await cli(`validate, ${name}`, 'validate', '--config', path)]).toEqual([name, 2])
    await cli(`print-config, ${name}`, 'print-config', '--config', path)
    await cli(`run, ${name}`, '--config', path)
  }
  expect(await cli('print-config', 'print-config', '--config', outer.configFile)).toBe(0)
  await cli('validate', 'validate', '--config', outer.configFile)
  const setting = `workload.upstream.headers.x-token=${canary.plant('--set')}`
  await cli('print-config --set', 'print-config', '--config', outer.configFile, '--set', setting)
  await cli('validate, broken key', 'validate', '--config', inner.configFile)

  expect(await outer.stop()).toBe(0)
  expect(await inner.stop()).toBe(0)
  canary.collect('log of the workload', outer.logs())
  canary.collect('log of the control plane', inner.logs())

  // The secrets were there to be told, and there was somebody to listen.
  const toProvider = received.join('\n')
  for (const used of [secret.post, subjectToken, assertion]) expect(toProvider).toContain(used)
  expect(toProvider).toContain(Buffer.from(`workload:${secret.basic}`).toString('base64'))
  const { collected } = canary
  expect(Object.entries(collected).filter(([, bytes]) => bytes === 0)).toEqual([])
  expect(collected['log of the workload']).toBeGreaterThan(5000)
  expect(collected['log of the control plane']).toBeGreaterThan(1000)
  expect(outer.logs()).toContain('debug')
  expect(canary.leaks()).toEqual([])
})

test('a secret that does come out is found, as it is and in base64 at any offset', () => {
  const own = new Canary()
  const value = own.plant('a secret')
  for (const [index, before] of ['', 'a', 'ab', 'abc'].entries())
    own.collect(`output ${index}`, `x ${Buffer.from(`${before}${value} and more`).toString('base64')} y`)
  own.collect('plain', `error: ${value}!`)
  own.collect('clean', 'nothing here')
  expect(own.leaks().map(({ where }) => where)).toEqual([
    'output 0',
    'output 1',
    'output 2',
    'output 3',
    'plain',
  ])
})
