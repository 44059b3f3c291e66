/**
 * The signature algorithms of JWTs that authgw knows, for those who configure them and those who verify and sign.
 * Floor 0; knows neither keys nor tokens. RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2.
 */

/** Asymmetric signature algorithms. Never HS*, never `none`; `Ed25519` is the name that says what `EdDSA` leaves open. */
export const SIGNATURE_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const

/** One of `SIGNATURE_ALGORITHMS`. */
export type SignatureAlgorithm = (typeof SIGNATURE_ALGORITHMS)[number]

/** Whether `alg` is one that authgw can be told to accept. */
export function isSignatureAlgorithm(alg: string): alg is SignatureAlgorithm {
  return (SIGNATURE_ALGORITHMS as readonly string[]).includes(alg)
}
