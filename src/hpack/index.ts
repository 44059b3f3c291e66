/**
 * Header compression: header blocks from and to lists of shared fields.
 * Floor 1; imports base/ alone, and knows neither frames nor rules of HTTP.
 * @see RFC 7541
 */
export * from './field.ts'
export { HPACK_DECODER_DEFAULTS, HpackDecoder } from './decoder.ts'
export type { HpackDecoderOptions } from './decoder.ts'
export { HPACK_ENCODER_DEFAULTS, HpackEncoder } from './encoder.ts'
export type { HpackEncoderOptions } from './encoder.ts'
