/**
 * What a schema cannot say: keys that contradict, miss or weaken each other. Gives faults and warnings.
 * Floor 1; opens no file and no socket. auth.md §4, §6; a gateway must not start open by accident.
 */
import { checkControlPlane } from './check-control-plane.ts'
import { checkTlsServer } from './check-transport.ts'
import { checkWorkload } from './check-workload.ts'
import { endpointsCollide } from './endpoint.ts'
import type { Endpoint } from './endpoint.ts'
import { Findings } from './findings.ts'
import type { Config } from './schema.ts'
import type { ConfigTree, KeyPath } from './tree.ts'

/** Checks a configuration that the schema accepts. */
export function checkConfig(config: Config, tree: ConfigTree): Findings {
  const findings = new Findings(tree)
  if (config.workload === undefined && config.controlPlane === undefined) {
    findings.fault(
      [],
      'no role is configured',
      'add workload: (beside a collector) or control_plane: (in front of one)',
    )
  }
  if (config.workload !== undefined) checkWorkload(config.workload, findings)
  if (config.controlPlane !== undefined) checkControlPlane(config.controlPlane, findings)
  if (config.admin.tls !== undefined) checkTlsServer(config.admin.tls, ['admin', 'tls'], findings)
  checkListeners(config, findings)
  checkLimits(config, findings)
  if (config.drain.delayMs >= config.drain.timeoutMs) {
    findings.fault(
      ['drain', 'delay'],
      'is not shorter than drain.timeout',
      'write a shorter delay, such as 3s',
    )
  }
  return findings
}

function checkListeners(config: Config, findings: Findings): void {
  const listeners: { path: KeyPath; endpoint: Endpoint | undefined }[] = [
    { path: ['workload', 'listen', 'endpoint'], endpoint: config.workload?.listen.endpoint },
    { path: ['control_plane', 'listen', 'endpoint'], endpoint: config.controlPlane?.listen.endpoint },
    { path: ['admin', 'endpoint'], endpoint: config.admin.endpoint },
    { path: ['admin', 'grpc_health_endpoint'], endpoint: config.admin.grpcHealthEndpoint },
  ]
  for (const [index, { path, endpoint }] of listeners.entries()) {
    if (endpoint === undefined) continue
    const other = listeners
      .slice(0, index)
      .find((before) => before.endpoint !== undefined && endpointsCollide(before.endpoint, endpoint))
    if (other !== undefined) {
      findings.fault(path, `${endpoint.text} is taken by ${other.path.join('.')}`, 'give each its own port')
    }
  }
}

function checkLimits({ limits }: Config, findings: Findings): void {
  const ascending = (
    smaller: keyof typeof limits,
    smallerKey: string,
    larger: keyof typeof limits,
    largerKey: string,
  ) => {
    if (Number(limits[smaller]) > Number(limits[larger])) {
      findings.fault(
        ['limits', smallerKey],
        `is above limits.${largerKey}`,
        `write at most limits.${largerKey}`,
      )
    }
  }
  ascending('initialStreamWindowBytes', 'initial_stream_window', 'streamWindowBytes', 'stream_window')
  ascending('streamWindowBytes', 'stream_window', 'maxStreamWindowBytes', 'max_stream_window')
  ascending('maxStreamWindowBytes', 'max_stream_window', 'connectionWindowBytes', 'connection_window')
  ascending('connectionWindowBytes', 'connection_window', 'maxHeldBytes', 'max_held_size')
  ascending('maxCallReplayBytes', 'max_call_replay_size', 'maxReplayBytes', 'max_replay_size')
  ascending('maxHeaderFieldBytes', 'max_header_field_size', 'maxHeaderListBytes', 'max_header_list_size')
  ascending(
    'pausingControlFrames',
    'pausing_control_frames',
    'maxQueuedControlFrames',
    'max_queued_control_frames',
  )
}
