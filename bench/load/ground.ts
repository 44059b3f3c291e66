/**
 * Turns nothing into what every peer needs: a key set and a token like Keycloak's, certificates, a request body, and the
 * servers behind the proxies (nghttpd for h2load's profile, a grpc-go server for grpc-go's).
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { SignJWT, exportJWK, exportSPKI, generateKeyPair } from 'jose'
import { makeAuthority } from '../../test/support/dev-pki.ts'
import { mustRun } from '../../test/interop/tools/run.ts'
import { programPath } from '../../test/interop/tools/cache.ts'
import { grpcGoLoad } from '../../test/interop/tools/catalog.ts'
import type { Running } from './fleet.ts'
import { freePort } from '../../test/support/free-port.ts'
import { startListening } from './fleet.ts'

const ROOT = resolve(import.meta.dirname, '../..')

/** The method that all load calls. */
export const METHOD = '/opentelemetry.proto.collector.trace.v1.TraceService/Export'
export const ISSUER = 'https://idp.example.com/realms/opentelemetry'
export const AUDIENCE = 'control-plane'
/** Octets of the answer's DATA: an empty message behind its prefix. */
export const ANSWER_BYTES = 5

/** Files in a folder of one bench run; all paths. */
export interface Ground {
  folder: string
  /** authgw as it ships: `npm run build` of this tree, in the folder. */
  program: string
  /** JWKS with the issuer's public key. */
  publicKeysFile: string
  /** The same key as PEM. */
  publicKeyFile: string
  token: string
  /** Another token of the same claims and key, from another issuer. */
  mint(issuer: string): Promise<string>
  tokenFile: string
  /** A token of the same claims, signed with another key. */
  forgedToken: string
  caFile: string
  certFile: string
  keyFile: string
  /** A client's certificate of the same authority. */
  clientCertFile: string
  clientKeyFile: string
  /** Certificate and key in one file, as HAProxy wants it. */
  bothFile: string
  remove(): void
}

/** Makes the folder and all that is in it. */
export async function prepareGround(): Promise<Ground> {
  const folder = mkdtempSync(join(tmpdir(), 'authgw-bench-'))
  const at = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text, { mode: 0o600 })
    return join(folder, name)
  }
  const { publicKey, privateKey } = await generateKeyPair('RS256', { extractable: true })
  const { privateKey: strangerKey } = await generateKeyPair('RS256')
  const jwk = { ...(await exportJWK(publicKey)), kid: 'bench', alg: 'RS256', use: 'sig' }
  const token = await mint(privateKey, ISSUER)
  const ca = await makeAuthority(folder)
  const server = await ca.issue('server', { use: 'server', san: 'DNS:localhost,IP:127.0.0.1' })
  const client = await ca.issue('client', { use: 'client', san: 'URI:spiffe://example.org/bench' })
  return {
    folder,
    program: await buildProgram(folder),
    publicKeysFile: at('jwks.json', JSON.stringify({ keys: [jwk] })),
    publicKeyFile: at('issuer-public.pem', await exportSPKI(publicKey)),
    token,
    mint: (issuer) => mint(privateKey, issuer),
    tokenFile: at('token', token),
    forgedToken: await mint(strangerKey, ISSUER),
    caFile: ca.certFile,
    certFile: server.certFile,
    keyFile: server.keyFile,
    clientCertFile: client.certFile,
    clientKeyFile: client.keyFile,
    bothFile: at('server-both.pem', `${server.certificatePem}\n${server.keyPem}`),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** Builds what is shipped: from the sources Node would strip types at each start, and keep the stripper in memory. */
async function buildProgram(folder: string): Promise<string> {
  const output = join(folder, 'dist')
  const bundler = join(ROOT, 'node_modules/.bin/rolldown')
  await mustRun(bundler, ['-c', 'rolldown.config.ts', '-d', output], { cwd: ROOT, timeoutMs: 120_000 })
  return join(output, 'authgw.js')
}

/** A token with the claims, and so about the length, of a service account's token from Keycloak. */
async function mint(key: CryptoKey, issuer: string): Promise<string> {
  const claims = {
    jti: 'trrtcc:5f1cbb5e-6a52-4dd5-9a3c-0c9d2c2f9c11',
    typ: 'Bearer',
    azp: 'workload',
    acr: '1',
    'allowed-origins': ['/*'],
    realm_access: { roles: ['default-roles-opentelemetry', 'offline_access', 'uma_authorization'] },
    resource_access: { account: { roles: ['manage-account', 'manage-account-links', 'view-profile'] } },
    scope: 'profile email otlp.write',
    clientHost: '10.42.0.17',
    email_verified: false,
    preferred_username: 'service-account-workload',
    clientAddress: '10.42.0.17',
    client_id: 'workload',
  }
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: 'bench' })
    .setIssuer(issuer)
    .setAudience(AUDIENCE)
    .setSubject('0f8e5d2c-9f70-4b8e-8f51-6a4f36a3f1de')
    .setIssuedAt()
    .setExpirationTime('6h')
    .sign(key)
}

/** Writes a gRPC message of `size` octets behind its 5-octet prefix and gives the file's path. */
export function writeBody(ground: Ground, size: number): string {
  const body = Buffer.alloc(5 + size)
  body.writeUInt32BE(size, 1)
  const file = join(ground.folder, `body-${size}`)
  writeFileSync(file, body)
  return file
}

/** Starts nghttpd: every call gets an empty message and `grpc-status: 0`. */
export async function startNghttpd(ground: Ground): Promise<Running> {
  const root = join(ground.folder, 'htdocs')
  mkdirSync(join(root, dirname(METHOD)), { recursive: true })
  writeFileSync(join(root, METHOD), Buffer.alloc(ANSWER_BYTES))
  const port = await freePort()
  const windows = ['-w', '20', '-W', '22', '-m', '1000']
  const args = [
    '--no-tls',
    '-a',
    '127.0.0.1',
    '-d',
    root,
    '--trailer',
    'grpc-status: 0',
    ...windows,
    `${port}`,
  ]
  return startListening('nghttpd', args, port, { logFile: join(ground.folder, 'nghttpd.log') })
}

/** The program that is grpc-go's load and server, or null where it is not built. */
export const grpcGoProgram = (): string | null => programPath(grpcGoLoad, 'main')

/** Starts the grpc-go server: every call gets an empty message. */
export async function startGrpcGoServer(ground: Ground, program: string): Promise<Running> {
  const port = await freePort()
  return startListening(program, ['serve', '-listen', `127.0.0.1:${port}`], port, {
    logFile: join(ground.folder, 'grpc-go-server.log'),
  })
}
