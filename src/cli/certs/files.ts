/**
 * Certificates and keys to and from files: keys 0600, nothing overwritten unless asked.
 * Floor 8.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { X509Certificate, createPrivateKey } from 'node:crypto'
import { UsageError } from '../io.ts'
import type { IssuedCertificate } from './certificate.ts'

/** Files of a certificate and its private key. */
export interface PairFiles {
  readonly certFile: string
  readonly keyFile: string
}

/** The files of a pair called `name` in `folder`: `name.pem` and `name-key.pem`, as cfssl names them. */
export function pairFiles(folder: string, name: string): PairFiles {
  return { certFile: join(folder, `${name}.pem`), keyFile: join(folder, `${name}-key.pem`) }
}

/** Writes a pair. @throws UsageError when a file is there already and `mayOverwrite` is false */
export function writePair(
  folder: string,
  name: string,
  issued: IssuedCertificate,
  mayOverwrite: boolean,
): PairFiles {
  const files = pairFiles(folder, name)
  mkdirSync(folder, { recursive: true })
  for (const file of [files.certFile, files.keyFile]) refuseOverwriting(file, mayOverwrite)
  writeFileSync(files.certFile, issued.certificatePem, { mode: 0o644 })
  writeSecret(files.keyFile, issued.keyPem)
  return files
}

/** Writes a file that only this user may read, whatever its mode was. */
export function writeSecret(file: string, text: string): void {
  writeFileSync(file, text, { mode: 0o600 })
  chmodSync(file, 0o600)
}

/** @throws UsageError when `file` is there and may not be overwritten */
export function refuseOverwriting(file: string, mayOverwrite: boolean): void {
  if (!mayOverwrite && existsSync(file)) {
    throw new UsageError(
      `${file} is there already`,
      'choose another --out or --name, or overwrite it with --force',
    )
  }
}

/** Reads a CA. @throws UsageError when it is missing, damaged, no CA, or the key belongs to another */
export function readAuthority(certFile: string, keyFile: string): IssuedCertificate {
  const read = (file: string): string => {
    try {
      return readFileSync(file, 'utf8')
    } catch {
      throw new UsageError(
        `${file} cannot be read`,
        'make a CA first: authgw certs ca, or name one with --ca and --ca-key',
      )
    }
  }
  const certificatePem = read(certFile)
  const keyPem = read(keyFile)
  try {
    const certificate = new X509Certificate(certificatePem)
    if (certificate.ca && certificate.checkPrivateKey(createPrivateKey(keyPem))) {
      return { certificatePem, keyPem, serialNumber: certificate.serialNumber.toLowerCase() }
    }
  } catch {
    throw new UsageError(`${certFile} or ${keyFile} is damaged`, 'make a new CA: authgw certs ca')
  }
  throw new UsageError(
    `${certFile} and ${keyFile} are not a CA and its key`,
    'make a new CA: authgw certs ca',
  )
}
