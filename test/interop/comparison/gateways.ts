/** The two gateways of a chain, from the files of deploy/pattern-5. */
import { authgw } from '../rig/parts.ts'
import { takePort } from '../rig/ports.ts'
import type { RunFolder } from '../rig/folder.ts'
import type { Service } from '../rig/service.ts'

/** Adds a control plane's gateway to `to`; gives the port of its listener. */
export async function addControlPlane(
  folder: RunFolder,
  to: Service[],
  name: string,
  upstream: number,
): Promise<number> {
  const port = await takePort()
  const admin = await takePort()
  const env = {
    CONTROL_PLANE_LISTEN: `localhost:${port}`,
    CONTROL_PLANE_COLLECTOR: `localhost:${upstream}`,
    CONTROL_PLANE_ADMIN: `localhost:${admin}`,
  }
  to.push(authgw(folder, { name: `${name}-control-plane`, file: 'control-plane-authgw.yaml', admin, env }))
  return port
}

/** Adds a workload's gateway that asks for its tokens at `tokenUrl`; gives the port of its listener. */
export async function addWorkload(
  folder: RunFolder,
  to: Service[],
  name: string,
  upstream: number,
  tokenUrl: string,
): Promise<number> {
  const port = await takePort()
  const admin = await takePort()
  const env = {
    WORKLOAD_AUTHGW_LISTEN: `localhost:${port}`,
    CONTROL_PLANE: `localhost:${upstream}`,
    WORKLOAD_ADMIN: `localhost:${admin}`,
  }
  const set = { client_id: name, token_url: tokenUrl }
  const args = Object.entries(set).flatMap(([key, value]) => [
    '--set',
    `workload.oauth2client.${key}=${value}`,
  ])
  to.push(authgw(folder, { name: `${name}-workload`, file: 'workload-authgw.yaml', admin, env, args }))
  return port
}
