/**
 * The room that puts the others together: one configuration, one running process.
 * Floor 7; the only reader of Config.
 */
export { configName } from './limits.ts'
export { runAuthgw } from './run.ts'
export type { RunningAuthgw, RunOptions } from './run.ts'
export { REFERENCE_PAGES } from './reference-pages.ts'
export { runWorker } from './worker.ts'
export type { WorkerProgram } from './spawn.ts'
export { checkedOidc, identityNames, tryExplain, tryToken } from './try-once.ts'
export type { TriedExplanation, TriedQuestion, TriedToken } from './try-once.ts'
