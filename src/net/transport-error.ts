/**
 * What Node and OpenSSL say about a failed socket, into a TransportError that an operator can act on.
 * Floor 4; knows error codes, never a peer's bytes.
 */
import { TransportError } from '../base/index.ts'
import type { TransportErrorCode } from '../base/index.ts'

const CODES: Readonly<Record<string, readonly [code: TransportErrorCode, text: string]>> = {
  ECONNREFUSED: ['connect_refused', 'nobody listens there'],
  ENOENT: ['connect_refused', 'the socket file does not exist'],
  EACCES: ['connect_refused', 'no permission to use the socket'],
  EPERM: ['connect_refused', 'the operating system or its firewall does not allow it'],
  EHOSTUNREACH: ['connect_refused', 'no route to the host'],
  ENETUNREACH: ['connect_refused', 'no route to the network'],
  EADDRNOTAVAIL: ['connect_refused', 'no local address or port is free'],
  EMFILE: ['connect_refused', 'the process is out of file descriptors; raise `ulimit -n`'],
  ENFILE: ['connect_refused', 'the machine is out of file descriptors'],
  ETIMEDOUT: ['connect_timeout', 'no answer in time'],
  ENOTFOUND: ['dns', 'the name does not resolve'],
  EAI_AGAIN: ['dns', 'the name server does not answer'],
  ECONNRESET: ['reset_by_peer', 'the peer reset the connection'],
  EPIPE: ['reset_by_peer', 'the peer has gone'],
  ECONNABORTED: ['reset_by_peer', 'the connection was aborted'],
  ERR_TLS_CERT_ALTNAME_INVALID: ['peer_name', 'the certificate is for another name'],
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: ['alpn', 'the peer does not speak HTTP/2 (ALPN h2)'],
  ERR_SSL_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: ['alpn', 'the peer does not speak HTTP/2 (ALPN h2)'],
  ERR_SSL_WRONG_VERSION_NUMBER: ['tls_handshake', 'the peer does not speak TLS'],
  ERR_SSL_PACKET_LENGTH_TOO_LONG: ['tls_handshake', 'the peer does not speak TLS'],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: ['tls_handshake', 'its issuer is not in our trust bundle (ca_file)'],
  UNABLE_TO_GET_ISSUER_CERT: ['tls_handshake', 'its issuer is not in our trust bundle (ca_file)'],
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: ['tls_handshake', 'its issuer is not in our trust bundle (ca_file)'],
  SELF_SIGNED_CERT_IN_CHAIN: ['tls_handshake', 'its root is not in our trust bundle (ca_file)'],
  DEPTH_ZERO_SELF_SIGNED_CERT: ['tls_handshake', 'it is self-signed and not in our trust bundle (ca_file)'],
  CERT_HAS_EXPIRED: ['tls_handshake', 'the certificate has expired'],
  CERT_NOT_YET_VALID: ['tls_handshake', 'the certificate is not valid yet; compare the clocks'],
  CERT_REVOKED: ['tls_handshake', 'the certificate is revoked'],
  CERT_SIGNATURE_FAILURE: ['tls_handshake', 'the signature of the certificate is wrong'],
  CRL_HAS_EXPIRED: ['tls_handshake', 'the revocation list (crl_file) has expired'],
  UNABLE_TO_GET_CRL: ['tls_handshake', 'the revocation list (crl_file) does not cover its issuer'],
  INVALID_PURPOSE: ['tls_handshake', 'its extended key usage does not allow this use'],
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: ['tls_handshake', 'the peer sent no certificate'],
  ERR_TLS_HANDSHAKE_TIMEOUT: ['connect_timeout', 'the TLS handshake was not finished in time'],
}

/** The code of an error of Node's or OpenSSL's; an empty string when it has none. */
export function errorCode(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : ''
}

/** What a code means, in a few words for the operator; the code itself when it is not known. */
export function explainCode(code: string): string {
  return CODES[code]?.[1] ?? code
}

/**
 * Gives the TransportError for `error`.
 * @param where what was being done and with whom, such as `dial 10.0.0.7:4317`; opens the message
 * @param fallback the code when neither Node's nor OpenSSL's says more
 */
export function toTransportError(
  error: unknown,
  where: string,
  fallback: TransportErrorCode = 'reset_by_peer',
): TransportError {
  if (error instanceof TransportError) return error
  const code = errorCode(error)
  const known = CODES[code]
  if (known !== undefined) {
    const [transportCode, text] = known
    return new TransportError(transportCode, `${where}: ${text} (${code})`, { cause: error })
  }
  const alert = /^ERR_SSL_(?:SSL_)?(?:TLSV1(?:3)?|SSLV3)_ALERT_(\w+)$/.exec(code)?.[1]
  if (alert !== undefined) {
    const text = `the peer refused TLS: ${alert.toLowerCase().replaceAll('_', ' ')}`
    return new TransportError('tls_handshake', `${where}: ${text} (${code})`, { cause: error })
  }
  const transportCode =
    code.startsWith('ERR_SSL_') || code.startsWith('ERR_TLS_') ? 'tls_handshake' : fallback
  const text = error instanceof Error ? error.message : String(error)
  return new TransportError(transportCode, `${where}: ${text}`, { cause: error })
}
