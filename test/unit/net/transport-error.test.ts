import { expect, test } from 'vitest'
import { TransportError } from '../../../src/base/index.ts'
import { errorCode, explainCode, toTransportError } from '../../../src/net/transport-error.ts'

const coded = (code: string, message = 'text'): Error => Object.assign(new Error(message), { code })

test.each([
  ['ECONNREFUSED', 'connect_refused', 'nobody listens there'],
  ['EHOSTUNREACH', 'connect_refused', 'no route to the host'],
  ['EMFILE', 'connect_refused', 'ulimit -n'],
  ['ETIMEDOUT', 'connect_timeout', 'no answer in time'],
  ['ENOTFOUND', 'dns', 'does not resolve'],
  ['ECONNRESET', 'reset_by_peer', 'the peer reset the connection'],
  ['CERT_HAS_EXPIRED', 'tls_handshake', 'the certificate has expired'],
  ['ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL', 'alpn', 'does not speak HTTP/2'],
  [
    'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
    'tls_handshake',
    'the peer refused TLS: certificate required',
  ],
  ['ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE', 'tls_handshake', 'the peer refused TLS: handshake failure'],
  ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'tls_handshake', 'the peer refused TLS: unknown ca'],
  ['ERR_SSL_SOMETHING_NEW', 'tls_handshake', 'text'],
])('%s is %s and says what it means', (code, transportCode, text) => {
  const error = toTransportError(coded(code), 'dial 10.0.0.7:4317')
  expect(error).toMatchObject({ code: transportCode, cause: { code } })
  expect(error.message).toMatch(/^dial 10\.0\.0\.7:4317: /)
  expect(error.message).toContain(text)
})

test('an unknown error takes the fallback', () => {
  expect(toTransportError(coded('EWEIRD'), 'dial', 'connect_refused')).toMatchObject({
    code: 'connect_refused',
  })
  expect(toTransportError('odd', 'peer').message).toBe('peer: odd')
  expect(toTransportError(coded('EWEIRD'), 'peer').code).toBe('reset_by_peer')
})

test('a TransportError stays itself', () => {
  const error = new TransportError('alpn', 'x')
  expect(toTransportError(error, 'dial')).toBe(error)
})

test('codes are read from errors only where there is one', () => {
  expect(errorCode(coded('X'))).toBe('X')
  expect(errorCode(null)).toBe('')
  expect(errorCode({ code: 5 })).toBe('')
  expect(explainCode('CERT_REVOKED')).toBe('the certificate is revoked')
  expect(explainCode('SOMETHING')).toBe('SOMETHING')
})
