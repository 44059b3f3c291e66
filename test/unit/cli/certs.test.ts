import { X509Certificate, createPrivateKey } from 'node:crypto'
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { issueCertificate } from '../../../src/cli/certs/certificate.ts'
import { parseCsrProfile } from '../../../src/cli/certs/profile.ts'
import { SubjectAltNameError, parseSubjectAltNames } from '../../../src/cli/certs/subject-alt-name.ts'
import { PAGES, runRenderDocs } from '../../../src/cli/docs.ts'
import { runProgram } from '../../../src/cli/index.ts'
import type { CliIo } from '../../../src/cli/index.ts'
import { loadConfig } from '../../../src/config/index.ts'

const TOP = resolve(import.meta.dirname, '../../..')

let folder: string
let output: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'authgw-certs-'))
  output = ''
})
afterEach(() => rmSync(folder, { recursive: true }))

const io: CliIo = {
  out: (text) => (output += text),
  err: (text) => (output += text),
  readInput: () => Promise.resolve(''),
  env: {},
  nowMs: () => Date.now(),
  onSignal: () => {},
  version: '1.2.3',
  nodeVersion: '26.0.0',
  canDumpMemory: false,
}

const authgw = (...args: string[]): Promise<number> =>
  runProgram(args, {
    io,
    startRoles: () => Promise.reject(new Error('nothing is to be started')),
    pages: () => Promise.resolve([]),
  })
const certs = (...args: string[]): Promise<number> => authgw('certs', ...args, '--out', folder)
const read = (name: string): X509Certificate => new X509Certificate(readFileSync(join(folder, name)))

describe('subject alternative names', () => {
  test('are read with a prefix, or for what they look like', () => {
    expect(
      parseSubjectAltNames(
        'DNS:a.example.com, IP:::1,URI:spiffe://example.org/w,b.example.com,10.0.0.7,x@example.com',
      ),
    ).toEqual([
      { type: 'dns', value: 'a.example.com' },
      { type: 'ip', value: '::1' },
      { type: 'url', value: 'spiffe://example.org/w' },
      { type: 'dns', value: 'b.example.com' },
      { type: 'ip', value: '10.0.0.7' },
      { type: 'email', value: 'x@example.com' },
    ])
    expect(parseSubjectAltNames('')).toEqual([])
  })

  test.each(['IP:localhost', 'URI:not a uri', 'DNS:a b', 'DNS:-x', 'a..b'])('%s is refused', (name) => {
    expect(() => parseSubjectAltNames(name)).toThrow(SubjectAltNameError)
  })
})

describe('authgw certs', () => {
  test('makes a CA, a server and a client that fit together, with keys for their owner alone', async () => {
    expect(await certs('ca')).toBe(0)
    expect(await certs('server', '--name', 'control-plane', '--san', 'DNS:cp.example.com,IP:10.0.0.7')).toBe(
      0,
    )
    expect(await certs('client', '--name', 'workload', '--san', 'URI:spiffe://example.org/workload')).toBe(0)
    const ca = read('ca.pem')
    expect(ca.ca).toBe(true)
    for (const [name, altName, usage] of [
      ['control-plane', 'DNS:cp.example.com, IP Address:10.0.0.7', '1.3.6.1.5.5.7.3.1'],
      ['workload', 'URI:spiffe://example.org/workload', '1.3.6.1.5.5.7.3.2'],
    ] as const) {
      const certificate = read(`${name}.pem`)
      expect(certificate.verify(ca.publicKey)).toBe(true)
      expect(certificate.checkIssued(ca)).toBe(true)
      expect(certificate.ca).toBe(false)
      expect(certificate.subjectAltName).toBe(altName)
      expect(certificate.keyUsage).toEqual([usage])
      expect(certificate.subject).toBe(`CN=${name}`)
      expect(
        certificate.checkPrivateKey(createPrivateKey(readFileSync(join(folder, `${name}-key.pem`)))),
      ).toBe(true)
      expect(statSync(join(folder, `${name}-key.pem`)).mode & 0o777).toBe(0o600)
    }
    expect(
      new Set(['ca', 'control-plane', 'workload'].map((name) => read(`${name}.pem`).serialNumber)).size,
    ).toBe(3)
    expect(output).not.toContain('PRIVATE KEY')
  })

  test('makes a server for localhost when no name is asked for', async () => {
    await certs('ca')
    await certs('server')
    expect(read('server.pem').subjectAltName).toBe(
      'DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1',
    )
    expect(read('server.pem').checkIP('::1')).toBe('::1')
  })

  test('overwrites nothing, unless asked', async () => {
    await certs('ca')
    const before = readFileSync(join(folder, 'ca.pem'), 'utf8')
    expect(await certs('ca')).toBe(2)
    expect(output).toContain(
      'is there already  → choose another --out or --name, or overwrite it with --force',
    )
    expect(readFileSync(join(folder, 'ca.pem'), 'utf8')).toBe(before)
    expect(await certs('ca', '--force')).toBe(0)
    expect(readFileSync(join(folder, 'ca.pem'), 'utf8')).not.toBe(before)
  })

  test('lives as many days as asked', async () => {
    await certs('ca', '--days', '2')
    const days = (read('ca.pem').validToDate.getTime() - Date.now()) / 86_400_000
    expect(days).toBeGreaterThan(1.9)
    expect(days).toBeLessThan(2.1)
  })

  test('says how to make a CA when there is none, and refuses one whose key is another', async () => {
    expect(await certs('server')).toBe(2)
    expect(output).toContain('make a CA first: authgw certs ca')
    await certs('ca')
    await certs('ca', '--name', 'other')
    expect(await certs('server', '--ca-key', join(folder, 'other-key.pem'))).toBe(2)
    expect(output).toContain('are not a CA and its key')
    writeFileSync(join(folder, 'broken.pem'), 'x')
    expect(await certs('server', '--ca', join(folder, 'broken.pem'))).toBe(2)
    expect(output).toContain('is damaged')
  })

  test('refuses a name that is none, without a stack trace', async () => {
    await certs('ca')
    expect(await certs('client', '--san', 'IP:workload')).toBe(2)
    expect(output).toContain('"IP:workload" is no subject alternative name')
    expect(output).not.toContain('    at ')
  })

  test.each(['ecdsa-p384', 'rsa-2048', 'ed25519'] as const)(
    'signs with and for keys of %s',
    async (keyKind) => {
      const ca = await issueCertificate({ use: 'ca', subject: 'CN=ca', keyKind })
      const leaf = await issueCertificate({ use: 'peer', subject: 'CN=leaf', keyKind, issuer: ca })
      const authority = new X509Certificate(ca.certificatePem)
      const certificate = new X509Certificate(leaf.certificatePem)
      expect(certificate.verify(authority.publicKey)).toBe(true)
      expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'])
      expect(certificate.serialNumber.toLowerCase()).toBe(leaf.serialNumber)
    },
  )
})

describe('the profiles of certs/', () => {
  const profile = (name: string): string => join(TOP, 'certs', `${name}.csr.json`)

  test('make the three certificates of the pattern', async () => {
    expect(await certs('ca', '--profile', profile('ca'))).toBe(0)
    expect(await certs('server', '--profile', profile('control-plane'), '--name', 'control-plane')).toBe(0)
    expect(await certs('client', '--profile', profile('workload'), '--name', 'workload')).toBe(0)
    expect(read('control-plane.pem').checkHost('control-plane.example.com')).toBe('control-plane.example.com')
    expect(read('workload.pem').subjectAltName).toBe('URI:spiffe://example.org/workload')
    expect(read('workload.pem').subject).toContain('OU=workload')
    expect(read('workload.pem').checkIssued(read('ca.pem'))).toBe(true)
    const years = (read('ca.pem').validToDate.getTime() - Date.now()) / (365 * 86_400_000)
    expect(Math.round(years)).toBe(10)
  })

  test('names with commas in them stay one name', () => {
    const text = JSON.stringify({ CN: 'a,b', names: [{ O: 'c+d', C: 'DE' }] })
    expect(parseCsrProfile(text, 'x').subject).toBe('CN=a\\,b,O=c\\+d,C=DE')
  })

  test.each([
    ['{', 'is not JSON'],
    ['{"hosts": []}', 'CN'],
    ['{"CN": "x", "key": {"algo": "rsa", "size": 1024}}', 'a key of rsa 1024 cannot be made'],
  ])('%s is refused', (text, message) => {
    expect(() => parseCsrProfile(text, 'x.json')).toThrow(message)
  })

  test('a profile that is not there is named', async () => {
    expect(await certs('ca', '--profile', join(folder, 'none.json'))).toBe(2)
    expect(output).toContain('none.json cannot be read')
  })
})

describe('authgw init', () => {
  const init = (...args: string[]): Promise<number> => authgw('init', '--out', folder, ...args)

  test('writes two configurations that are valid as they are', async () => {
    expect(await init('--issuer', 'https://kc.example.com/realms/otel', '--host', 'cp.example.com')).toBe(0)
    for (const name of ['workload.yaml', 'control-plane.yaml']) {
      const { warnings } = loadConfig({ files: [join(folder, name)], env: {}, nowMs: Date.now() })
      expect(warnings).toEqual([])
    }
    expect(read('control-plane.pem').checkHost('cp.example.com')).toBe('cp.example.com')
  })

  test('both run on one machine, and with a provider on loopback, without a clash', async () => {
    expect(await init()).toBe(0)
    const settings = ['admin.endpoint=localhost:9999']
    const files = ['workload.yaml', 'control-plane.yaml'].map((name) => join(folder, name))
    expect(loadConfig({ files, settings, env: {}, nowMs: Date.now() }).warnings).toEqual([])
  })

  test('the secret of the client is the same in Keycloak, in files for their owner alone', async () => {
    await init()
    const secret = readFileSync(join(folder, 'client-secret'), 'utf8').trim()
    const realm = JSON.parse(readFileSync(join(folder, 'keycloak-realm.json'), 'utf8')) as {
      realm: string
      clients: { secret: string }[]
    }
    expect(realm).toMatchObject({ realm: 'opentelemetry', clients: [{ clientId: 'workload', secret }] })
    expect(secret.length).toBeGreaterThanOrEqual(32)
    for (const name of ['client-secret', 'keycloak-realm.json']) {
      expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600)
    }
    expect(output).not.toContain(secret)
  })

  test('the collectors dial and serve the ports of the gateways', async () => {
    await init()
    const yaml = (name: string): unknown => parse(readFileSync(join(folder, name), 'utf8'))
    const { workload } = yaml('workload.yaml') as { workload: { listen: { endpoint: string } } }
    expect(yaml('collector-workload.yaml')).toMatchObject({
      exporters: { otlp_grpc: { endpoint: workload.listen.endpoint } },
    })
    const { control_plane: controlPlane } = yaml('control-plane.yaml') as {
      control_plane: { upstream: { endpoint: string } }
    }
    expect(yaml('collector-control-plane.yaml')).toMatchObject({
      receivers: { otlp: { protocols: { grpc: { endpoint: controlPlane.upstream.endpoint } } } },
    })
  })

  test('the collectors are those that print-collector-config makes of the configurations', async () => {
    await init()
    for (const role of ['workload', 'control-plane']) {
      output = ''
      await authgw('print-collector-config', '-c', join(folder, `${role}.yaml`))
      expect(readFileSync(join(folder, `collector-${role}.yaml`), 'utf8')).toBe(output)
    }
  })

  test('overwrites nothing, and writes nothing when one file is in the way', async () => {
    writeFileSync(join(folder, 'workload.pem'), 'mine')
    expect(await init()).toBe(2)
    expect(readdirSync(folder)).toEqual(['workload.pem'])
    expect(await init('--issuer', 'nonsense', '--force')).toBe(2)
    expect(output).toContain('"nonsense" is no URL')
    expect(await init('--issuer', 'http://kc.example.com/realms/otel', '--force')).toBe(2)
    expect(output).toContain('"http://kc.example.com/realms/otel" is not https')
  })
})

describe('generated pages and examples', () => {
  test('the pages of the project are up to date', () => {
    expect(runRenderDocs(PAGES, TOP, true, io)).toBe(0)
  })

  test('a stale page is written, and only named when checking', () => {
    const pages = [{ file: 'docs/x.md', render: () => 'new\n' }]
    expect(runRenderDocs(pages, folder, true, io)).toBe(1)
    expect(output).toContain('docs/x.md is out of date')
    expect(runRenderDocs(pages, folder, false, io)).toBe(0)
    expect(readFileSync(join(folder, 'docs/x.md'), 'utf8')).toBe('new\n')
    expect(runRenderDocs(pages, folder, true, io)).toBe(0)
  })

  test('the examples are valid beside the files that they name', async () => {
    await certs('ca')
    await certs('server', '--name', 'control-plane')
    await certs('client', '--name', 'workload')
    writeFileSync(join(folder, 'client-secret'), 'x', { mode: 0o600 })
    const examples = readdirSync(join(TOP, 'deploy/examples'))
    expect(examples.toSorted()).toEqual(['both.yaml', 'control-plane.yaml', 'workload.yaml'])
    for (const name of examples) {
      writeFileSync(join(folder, name), readFileSync(join(TOP, 'deploy/examples', name)))
      const { warnings } = loadConfig({ files: [join(folder, name)], env: {}, nowMs: Date.now() })
      expect(warnings).toEqual([])
    }
  })
})
