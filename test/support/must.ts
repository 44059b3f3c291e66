import { test } from 'vitest'
import { RawPeer, type EndOptions } from './h2-pair.ts'

/** A conformance test: its title stands in test/conformance/requirements.json, beside what it proves. */
export const must: (title: string, prove: () => void) => void = test

/** The last frame that a peer gets for what it does, after the settings were exchanged. */
export function answerTo(act: (peer: RawPeer) => void, options: EndOptions = {}): string {
  const peer = new RawPeer(options).open()
  act(peer)
  return peer.take().at(-1) ?? 'nothing'
}
