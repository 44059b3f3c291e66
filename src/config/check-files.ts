/**
 * The files that a configuration names: there, readable, PEM, and does the key belong to the certificate?
 * Floor 1; reads files, sends nothing, keeps nothing. A fault never shows what a file holds.
 */
import { X509Certificate, createPrivateKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import type { Findings } from './findings.ts'
import { walkKnownKeys } from './issue-faults.ts'
import { isSection } from './tree.ts'
import type { ConfigTree, KeyPath, TreeSection } from './tree.ts'

const DAY_MS = 86_400_000

/** Checks every file of `tree`, whose paths are absolute. @param nowMs Unix ms, to judge validity by */
export function checkFiles(tree: ConfigTree, findings: Findings, nowMs: number): void {
  walkKnownKeys(tree.root, ({ path, value, shape }) => {
    const kind = shape.meta?.pathKind
    if (kind !== undefined && typeof value === 'string') checkPath(value, kind, path, findings)
    if (path.at(-1) === 'tls' && isSection(value)) checkTlsFiles(value, path, findings, nowMs)
    if (path.at(-1) === 'public_keys_file' && typeof value === 'string') checkKeySet(value, path, findings)
    if (path.at(-1) === 'issuer_ca_path' && typeof value === 'string') checkAuthorities(value, path, findings)
  })
}

function checkPath(
  file: string,
  kind: 'file' | 'secret' | 'folder',
  path: KeyPath,
  findings: Findings,
): void {
  try {
    const stats = statSync(file)
    if (stats.isDirectory() !== (kind === 'folder')) {
      findings.fault(
        path,
        `${file} is ${kind === 'folder' ? 'no folder' : 'a folder'}`,
        `name a ${kind === 'folder' ? 'folder' : 'file'}`,
      )
      return
    }
    accessSync(file, kind === 'folder' ? constants.W_OK : constants.R_OK)
    if (kind === 'secret' && stats.isFile() && readFileSync(file, 'utf8').trim() === '') {
      findings.fault(path, `${file} is empty`, 'write into it what the key stands for')
    }
    if (kind === 'secret' && (stats.mode & 0o004) !== 0) {
      findings.warn(path, `${file} can be read by every user of this machine`, `chmod 600 ${file}`)
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT')
      findings.fault(path, `${file} does not exist`, 'put the file there or correct the path')
    else if (code === 'EACCES' || code === 'EPERM') {
      findings.fault(
        path,
        `${file} cannot be ${kind === 'folder' ? 'written' : 'read'}`,
        'give this user the right to',
      )
    } else findings.fault(path, `${file} cannot be opened (${code ?? 'error'})`, 'correct the path')
  }
}

/** The PEM of `name`_file or `name`_pem of a TLS section; null when there is none or it cannot be read. */
function pemOf(tls: TreeSection, name: string): { readonly text: string; readonly key: string } | null {
  const file = tls[`${name}_file`]
  const pem = tls[`${name}_pem`]
  if (typeof pem === 'string') return { text: pem, key: `${name}_pem` }
  if (typeof file !== 'string') return null
  try {
    return { text: readFileSync(file, 'utf8'), key: `${name}_file` }
  } catch {
    return null
  }
}

function checkTlsFiles(tls: TreeSection, path: KeyPath, findings: Findings, nowMs: number): void {
  for (const name of ['ca', 'client_ca']) {
    const authorities = pemOf(tls, name)
    if (authorities !== null) checkAuthorityPem(authorities.text, [...path, authorities.key], findings)
  }
  const certificatePem = pemOf(tls, 'cert')
  const keyPem = pemOf(tls, 'key')
  const certificate =
    certificatePem && readCertificate(certificatePem.text, [...path, certificatePem.key], findings)
  const key = keyPem && readKey(keyPem.text, [...path, keyPem.key], findings)
  if (certificate !== null) checkValidity(certificate, [...path, certificatePem!.key], findings, nowMs)
  if (certificate !== null && key !== null && !certificate.checkPrivateKey(key)) {
    const problem = `is not the private key of ${typeof tls['cert_file'] === 'string' ? tls['cert_file'] : 'cert_pem'}`
    findings.fault(
      [...path, keyPem!.key],
      problem,
      'name the key that was made together with the certificate',
    )
  }
}

function readCertificate(pem: string, path: KeyPath, findings: Findings): X509Certificate | null {
  try {
    return new X509Certificate(pem)
  } catch {
    const isKey = pem.includes('PRIVATE KEY-----')
    const remedy = isKey
      ? 'name the certificate; this is a private key'
      : 'name a file that begins with -----BEGIN CERTIFICATE-----'
    findings.fault(path, 'holds no certificate in PEM', remedy)
    return null
  }
}

function readKey(pem: string, path: KeyPath, findings: Findings): KeyObject | null {
  if (/ENCRYPTED/.test(pem)) {
    findings.fault(path, 'holds a private key under a passphrase', 'openssl pkey -in … -out … takes it off')
    return null
  }
  try {
    return createPrivateKey(pem)
  } catch {
    findings.fault(path, 'holds no private key in PEM', 'name a PEM file with a PKCS#8 private key')
    return null
  }
}

function checkValidity(certificate: X509Certificate, path: KeyPath, findings: Findings, nowMs: number): void {
  const endMs = certificate.validToDate.getTime()
  if (endMs <= nowMs) {
    findings.warn(
      path,
      `has expired on ${certificate.validTo}`,
      'replace it; it is read again without a restart',
    )
  } else if (endMs - nowMs < 7 * DAY_MS) {
    findings.warn(path, `expires on ${certificate.validTo}`, 'replace it; it is read again without a restart')
  } else if (certificate.validFromDate.getTime() > nowMs) {
    findings.warn(path, `is not valid before ${certificate.validFrom}`, 'check the clock of this machine')
  }
}

function checkAuthorities(file: string, path: KeyPath, findings: Findings): void {
  try {
    checkAuthorityPem(readFileSync(file, 'utf8'), path, findings)
  } catch {
    // checkPath has said so.
  }
}

function checkAuthorityPem(pem: string, path: KeyPath, findings: Findings): void {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) {
    findings.fault(
      path,
      'holds no certificate in PEM',
      'name a file that begins with -----BEGIN CERTIFICATE-----',
    )
  }
  for (const [index, block] of blocks.entries()) {
    try {
      const certificate = new X509Certificate(block)
      if (!certificate.ca) {
        const remedy = 'name the certificate of the authority that signed the peer’s'
        findings.warn(path, `certificate ${index + 1} in it is not that of an authority`, remedy)
      }
    } catch {
      findings.fault(path, `certificate ${index + 1} in it is damaged`, 'copy the file again')
    }
  }
}

function checkKeySet(file: string, path: KeyPath, findings: Findings): void {
  let keys: unknown
  try {
    keys = (JSON.parse(readFileSync(file, 'utf8')) as { keys?: unknown } | null)?.keys
  } catch (error) {
    if (!(error instanceof SyntaxError)) return
  }
  if (!Array.isArray(keys) || keys.length === 0) {
    findings.fault(path, 'holds no key set', 'name a JSON file of the form {"keys": [ … ]}')
  }
}
