/** How long the models run, and where they leave their figures. */
import { appendFileSync } from 'node:fs'

/** Steps of each model: 100,000, or FUZZ_STEPS. `npm run test:model` asks for a million. */
export const STEPS = Number(process.env['FUZZ_STEPS'] ?? 100_000)

/** What one model did. */
export interface ModelFigures {
  readonly model: string
  readonly steps: number
  readonly programs: number
  /** Frames carried, after each of which the credits were checked at both ends. */
  readonly frames: number
  readonly seconds: number
}

/** Leaves a line for whoever asked by FUZZ_FIGURES. */
export function addFigures(figures: ModelFigures): void {
  const file = process.env['FUZZ_FIGURES']
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(figures)}\n`)
}
