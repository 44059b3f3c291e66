/**
 * `authgw init`: a folder with all that a first run needs: both configurations, certificates, the settings of the
 * Keycloak client and the YAML of the two collectors.
 * Floor 8; loaded only by this command.
 */
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isLoopbackHost } from '../config/index.ts'
import { issueCertificate } from './certs/certificate.ts'
import { pairFiles, refuseOverwriting, writePair, writeSecret } from './certs/files.ts'
import { parseSubjectAltNames } from './certs/subject-alt-name.ts'
import { collectorFiles, configurationFiles, keycloakRealm } from './init-files.ts'
import { EXIT, UsageError } from './io.ts'
import type { CliIo } from './io.ts'

/** Options of `authgw init`. */
export interface InitOptions {
  readonly out: string
  /** The issuer, such as https://keycloak.example.com/realms/opentelemetry. */
  readonly issuer: string
  /** Host name of the control plane gateway, as workloads dial it. */
  readonly host: string
  readonly force?: boolean
}

/** Writes the folder. @throws UsageError when a file is there already, or a name is none */
export async function runInit(options: InitOptions, io: CliIo): Promise<number> {
  if (!URL.canParse(options.issuer)) {
    throw new UsageError(
      `"${options.issuer}" is no URL`,
      'write --issuer https://keycloak.example.com/realms/opentelemetry',
    )
  }
  const { protocol, hostname } = new URL(options.issuer)
  if (protocol !== 'https:' && !isLoopbackHost(hostname)) {
    throw new UsageError(
      `"${options.issuer}" is not https, and a gateway would refuse it`,
      'write https://, or http:// with localhost',
    )
  }
  const mayOverwrite = options.force === true
  const secret = randomBytes(24).toString('base64url')
  const texts = { ...configurationFiles(options.issuer, options.host), ...collectorFiles() }
  const secrets = {
    'client-secret': `${secret}\n`,
    'keycloak-realm.json': keycloakRealm(options.issuer, secret),
  }
  const pairs = ['ca', 'control-plane', 'workload']
  const files = [
    ...Object.keys(texts),
    ...Object.keys(secrets),
    ...pairs.flatMap((name) => Object.values(pairFiles('', name))),
  ]
  for (const file of files) refuseOverwriting(join(options.out, file), mayOverwrite)
  mkdirSync(options.out, { recursive: true })
  await writeCertificates(options)
  for (const [file, text] of Object.entries(texts)) writeFileSync(join(options.out, file), text)
  for (const [file, text] of Object.entries(secrets)) writeSecret(join(options.out, file), text)
  io.out(summary(options))
  return EXIT.ok
}

async function writeCertificates({ out, host }: InitOptions): Promise<void> {
  const altNames = parseSubjectAltNames(`${host},localhost,127.0.0.1,::1`)
  const ca = await issueCertificate({ use: 'ca', subject: 'CN=authgw development CA' })
  writePair(out, 'ca', ca, true)
  const server = { use: 'server', subject: 'CN=control-plane', altNames, issuer: ca } as const
  writePair(out, 'control-plane', await issueCertificate(server), true)
  const client = {
    use: 'client',
    subject: 'CN=workload',
    altNames: parseSubjectAltNames('URI:spiffe://example.org/workload'),
    issuer: ca,
  } as const
  writePair(out, 'workload', await issueCertificate(client), true)
}

function summary({ out, issuer, host }: InitOptions): string {
  return `${out} holds
  workload.yaml, control-plane.yaml                authgw's two configurations
  ca.pem, control-plane.pem, workload.pem          development certificates, with their keys
  client-secret                                    secret of the client "workload"
  keycloak-realm.json                              realm with that client, for kc.sh start-dev --import-realm
  collector-workload.yaml, collector-control-plane.yaml
Next
  1. let Keycloak answer at ${issuer}
  2. authgw --config ${join(out, 'control-plane.yaml')}
  3. authgw --config ${join(out, 'workload.yaml')}      (dials ${host}:4317)
`
}
