/** The targets of the coverage-guided fuzzers by name: what throws on an input is a finding. */
import { fuzzClient, fuzzServer } from './connection.ts'
import { fuzz as frameReader } from './frame-reader.ts'
import { fuzz as hpack } from './hpack.ts'
import { fuzz as relay } from './relay.ts'

/** Takes one input; throws when something is wrong. */
export type FuzzTarget = (input: Buffer) => void

/** Name of a target, and of its folders under corpus/ and regressions/ → the target. */
export const TARGETS: Readonly<Record<string, FuzzTarget>> = {
  'frame-reader': frameReader,
  hpack,
  server: fuzzServer,
  client: fuzzClient,
  relay,
}
