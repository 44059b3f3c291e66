/**
 * The names of cipher suites, curves and TLS versions that configtls has and HTTP/2 may use.
 * Floor 1; net/tls-names.ts maps them to OpenSSL's. RFC 9113 §9.2.2.
 */

/** Go's names: forward secrecy and an AEAD, and TLS 1.3's, which are always on. */
export const CIPHER_SUITES = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
  'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384',
  'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256',
  'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305',
  'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
  'TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384',
  'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256',
  'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305',
] as const

/** Go's names. */
export const CURVES = ['X25519MLKEM768', 'X25519', 'P256', 'P384', 'P521'] as const

/** TLS 1.0 and 1.1 are not spoken (RFC 8996). */
export const TLS_VERSIONS = ['1.2', '1.3'] as const
