/**
 * The room of HTTP/2 frames: bytes to FrameSink calls, and frames to bytes.
 * Floor 1; knows no stream state, no window, no HPACK.
 */
export * from './constants.ts'
export * from './reader.ts'
export * from './sink.ts'
export * from './writer.ts'
