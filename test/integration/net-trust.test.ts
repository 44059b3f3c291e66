import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { X509Certificate } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PeerTrust } from '../../src/net/peer-trust.ts'
import type { TrustOpinion } from '../../src/net/peer-trust.ts'
import { pemBlocks } from '../../src/net/tls-material.ts'

let folder: string

/** Runs openssl in the test's folder; `openssl verify` is the reference for what is right. */
function openssl(...args: string[]): string {
  return execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] }).toString()
}

const at = (name: string): string => join(folder, name)
const pem = (name: string): string => readFileSync(at(name), 'latin1')
const der = (name: string): Buffer[] =>
  pemBlocks(pem(name), 'CERTIFICATE').map((block) => new X509Certificate(block).raw)

interface Made {
  readonly extensions?: string
  readonly issuer?: string
  readonly days?: number
  readonly subject?: string
}

/** Makes `name`.pem and `name`.key; self-signed without an issuer. */
function make(name: string, { extensions = '', issuer, days = 30, subject = `/CN=${name}` }: Made): void {
  openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', `${name}.key`)
  openssl('req', '-new', '-key', `${name}.key`, '-subj', subject, '-out', `${name}.csr`)
  writeFileSync(at(`${name}.ext`), extensions)
  const signer =
    issuer === undefined ? ['-key', `${name}.key`] : ['-CA', `${issuer}.pem`, '-CAkey', `${issuer}.key`]
  openssl(
    'x509',
    '-req',
    '-in',
    `${name}.csr`,
    ...signer,
    '-days',
    String(days),
    '-extfile',
    `${name}.ext`,
    '-out',
    `${name}.pem`,
  )
}

const CA = 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign'
const CLIENT = 'basicConstraints=critical,CA:FALSE\nextendedKeyUsage=clientAuth'

/** A revocation list of `issuer` that names `revoked`, valid for `days`. */
function revoke(name: string, issuer: string, revoked: readonly string[], days = 30): void {
  writeFileSync(at(`${name}.index`), '')
  writeFileSync(
    at(`${name}.cnf`),
    `[ca]\ndefault_ca=d\n[d]\ndatabase=${name}.index\ncrlnumber=${name}.number\ndefault_md=sha256\ndefault_crl_days=${days}\n`,
  )
  writeFileSync(at(`${name}.number`), '01\n')
  const signer = ['-config', `${name}.cnf`, '-keyfile', `${issuer}.key`, '-cert', `${issuer}.pem`]
  for (const certificate of revoked) openssl('ca', ...signer, '-revoke', `${certificate}.pem`)
  const validity =
    days > 0 ? [] : ['-crl_lastupdate', '20200101000000Z', '-crl_nextupdate', '20200201000000Z']
  openssl('ca', ...signer, ...validity, '-gencrl', '-out', `${name}.crl`)
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'authgw-trust-'))
  make('root', { extensions: CA })
  make('other-root', { extensions: CA })
  make('narrow-root', {
    extensions: 'basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign',
  })
  make('middle', { extensions: CA, issuer: 'root' })
  make('below-narrow', { extensions: CA, issuer: 'narrow-root' })
  make('named-root', { extensions: `${CA}\nnameConstraints=critical,permitted;DNS:example.org` })
  make('server-only-middle', { extensions: `${CA}\nextendedKeyUsage=serverAuth`, issuer: 'root' })
  make('no-ca', { extensions: 'basicConstraints=critical,CA:FALSE', issuer: 'root' })
  make('signing-no-crl', { extensions: 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign' })
  make('narrow-leaf', { extensions: CLIENT, issuer: 'narrow-root' })
  make('leaf', { extensions: CLIENT, issuer: 'root' })
  make('revoked-leaf', { extensions: CLIENT, issuer: 'root' })
  make('deep-leaf', { extensions: CLIENT, issuer: 'middle' })
  make('too-deep-leaf', { extensions: CLIENT, issuer: 'below-narrow' })
  make('named-leaf', { extensions: `${CLIENT}\nsubjectAltName=DNS:a.example.org`, issuer: 'named-root' })
  make('server-leaf', { extensions: 'extendedKeyUsage=serverAuth', issuer: 'root' })
  make('plain-leaf', { extensions: 'basicConstraints=CA:FALSE', issuer: 'root' })
  make('server-only-leaf', { extensions: CLIENT, issuer: 'server-only-middle' })
  make('under-no-ca', { extensions: CLIENT, issuer: 'no-ca' })
  make('impostor-root', { extensions: CA, subject: '/CN=root' })
  make('forged-leaf', { extensions: CLIENT, issuer: 'impostor-root' })
  revoke('empty', 'root', [])
  revoke('one', 'root', ['revoked-leaf'])
  revoke('old', 'root', [], 0)
  revoke('middle-empty', 'middle', [])
  revoke('middle-revoked', 'root', ['middle'])
  revoke('foreign', 'other-root', [])
  revoke('forged', 'impostor-root', [])
  openssl('x509', '-in', 'root.pem', '-out', 'root-copy.pem')
}, 60_000)

afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

interface Case {
  readonly leaf: string
  readonly chain?: readonly string[]
  readonly roots: readonly string[]
  readonly crls?: readonly string[]
  /** Seconds from now at which it is judged. */
  readonly laterSeconds?: number
}

async function ours({ leaf, chain = [], roots, crls = [], laterSeconds = 0 }: Case): Promise<TrustOpinion> {
  const trust = await PeerTrust.load({
    certificates: roots.flatMap((root) => pemBlocks(pem(`${root}.pem`), 'CERTIFICATE')),
    crls: crls.map((crl) => pem(`${crl}.crl`)),
  })
  const shown = [leaf, ...chain].flatMap((name) => der(`${name}.pem`))
  return trust.judge(shown, Date.now() + laterSeconds * 1_000)
}

function theirs({ leaf, chain = [], roots, crls = [], laterSeconds = 0 }: Case): boolean {
  writeFileSync(at('roots.pem'), roots.map((root) => pem(`${root}.pem`)).join(''))
  writeFileSync(at('crls.pem'), crls.map((crl) => pem(`${crl}.crl`)).join(''))
  writeFileSync(at('chain.pem'), chain.map((name) => pem(`${name}.pem`)).join(''))
  const options = ['-CAfile', 'roots.pem', '-no-CApath', '-no-CAstore', '-purpose', 'sslclient']
  if (chain.length > 0) options.push('-untrusted', 'chain.pem')
  if (crls.length > 0) options.push('-crl_check_all', '-CRLfile', 'crls.pem')
  if (laterSeconds > 0) options.push('-attime', String(Math.floor(Date.now() / 1_000) + laterSeconds))
  try {
    openssl('verify', ...options, `${leaf}.pem`)
    return true
  } catch {
    return false
  }
}

const DAY = 86_400

describe('a live peer is judged as `openssl verify` would', () => {
  test.each<[string, boolean, Case]>([
    ['a leaf under a root', true, { leaf: 'leaf', roots: ['root'] }],
    ['among several roots', true, { leaf: 'leaf', roots: ['other-root', 'root'] }],
    ['a root that was removed', false, { leaf: 'leaf', roots: ['other-root'] }],
    ['an intermediate that the peer shows', true, { leaf: 'deep-leaf', chain: ['middle'], roots: ['root'] }],
    ['an intermediate in the bundle', true, { leaf: 'deep-leaf', roots: ['root', 'middle'] }],
    ['an intermediate that nobody has', false, { leaf: 'deep-leaf', roots: ['root'] }],
    ['an intermediate alone is no anchor', false, { leaf: 'deep-leaf', roots: ['middle'] }],
    ['a chain that shows its own root', false, { leaf: 'leaf', chain: ['root'], roots: ['other-root'] }],
    [
      'a root of the same name and another key',
      false,
      { leaf: 'forged-leaf', chain: ['impostor-root'], roots: ['root'] },
    ],
    ['a path length that is kept', true, { leaf: 'narrow-leaf', roots: ['narrow-root'] }],
    [
      'a path length that is exceeded',
      false,
      { leaf: 'too-deep-leaf', chain: ['below-narrow'], roots: ['narrow-root'] },
    ],
    ['a leaf for servers', false, { leaf: 'server-leaf', roots: ['root'] }],
    ['a leaf for any use', true, { leaf: 'plain-leaf', roots: ['root'] }],
    [
      'an intermediate for servers',
      false,
      { leaf: 'server-only-leaf', chain: ['server-only-middle'], roots: ['root'] },
    ],
    ['an issuer that is no CA', false, { leaf: 'under-no-ca', chain: ['no-ca'], roots: ['root'] }],
    ['after the leaf has expired', false, { leaf: 'leaf', roots: ['root'], laterSeconds: 31 * DAY }],
    ['a list that names nobody', true, { leaf: 'leaf', roots: ['root'], crls: ['empty'] }],
    ['a list that names another', true, { leaf: 'leaf', roots: ['root'], crls: ['one'] }],
    ['a list that names it', false, { leaf: 'revoked-leaf', roots: ['root'], crls: ['one'] }],
    [
      'a newer list beside an older one',
      false,
      { leaf: 'revoked-leaf', roots: ['root'], crls: ['old', 'one'] },
    ],
    ['a list that has expired', false, { leaf: 'leaf', roots: ['root'], crls: ['old'] }],
    ['a list of another CA only', false, { leaf: 'leaf', roots: ['root', 'other-root'], crls: ['foreign'] }],
    ['a list that another key has signed', false, { leaf: 'leaf', roots: ['root'], crls: ['forged'] }],
    [
      'lists for each CA of the path',
      true,
      { leaf: 'deep-leaf', chain: ['middle'], roots: ['root'], crls: ['empty', 'middle-empty'] },
    ],
    [
      'a list missing for one CA of the path',
      false,
      { leaf: 'deep-leaf', chain: ['middle'], roots: ['root'], crls: ['empty'] },
    ],
    [
      'a revoked intermediate',
      false,
      { leaf: 'deep-leaf', chain: ['middle'], roots: ['root'], crls: ['middle-revoked', 'middle-empty'] },
    ],
  ])('%s', async (_what, isTrusted, given) => {
    expect(theirs(given)).toBe(isTrusted)
    const opinion = await ours(given)
    expect(opinion.verdict).toBe(isTrusted ? 'trusted' : 'untrusted')
    expect(opinion.reason === '').toBe(isTrusted)
  })

  test('but a CA that constrains names is left to a new handshake', async () => {
    const given = { leaf: 'named-leaf', roots: ['named-root'] }
    expect(theirs(given)).toBe(true)
    expect(await ours(given)).toEqual({ verdict: 'doubtful', reason: 'a CA above it constrains names' })
  })

  test('and a certificate that was never shown is nobody’s', async () => {
    const trust = await PeerTrust.load({ certificates: [pem('root.pem')], crls: [] })
    expect(await trust.judge([], Date.now())).toMatchObject({ verdict: 'untrusted' })
  })
})
