/**
 * The room of the configuration: YAML in, one checked object out.
 * Floor 1; imports base only. Rooms below roles/ never see a Config.
 */
export { formatDuration, parseDuration } from './duration.ts'
export { endpointsCollide, isLocalEndpoint, isLoopbackHost, parseEndpoint } from './endpoint.ts'
export type { Endpoint } from './endpoint.ts'
export { loadConfig } from './load.ts'
export type { LoadOptions, LoadedConfig } from './load.ts'
export { MASK, printConfig } from './print.ts'
export { limitKeys, renderConfigurationPage, renderJsonSchema } from './render-docs.ts'
export type { LimitKey } from './render-docs.ts'
export type * from './schema.ts'
export { formatSize, parseSize } from './size.ts'
