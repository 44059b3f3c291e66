/**
 * The room of the command line.
 * Floor 8; imports base, config, auth, net and roles.
 */
export type { GeneratedPage } from './docs.ts'
export { EXIT } from './io.ts'
export type { CliIo } from './io.ts'
export { runProgram } from './program.ts'
export type { ProgramParts } from './program.ts'
export type { StartRoles } from './run.ts'
