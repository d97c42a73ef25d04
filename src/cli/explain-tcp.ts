import type { MasterClient } from '../api/client.ts'
import type { App } from '../model/app.ts'
import { type FrontPorts, sayTcpPort } from '../model/tcp.ts'

/** What a front said of a port. */
export function sayFrontPort({ front, at, ports }: FrontPorts, listen: number): string {
  const port = ports.find(one => one.listen === listen)
  if (port === undefined) return `${front}: not open yet`
  return port.problem === undefined ? `${front}: open` : `${front}: not open since ${at}: ${port.problem}`
}

/** The TCP ports of the app, and why fronts have not opened them. */
export async function sayTcp(master: MasterClient, { name, tcp }: App): Promise<readonly string[]> {
  if (tcp === undefined) return []
  const said = await master.call('getTcp', { params: { app: name } }).catch(() => undefined) // an earlier master has none
  const problems = (said?.fronts ?? []).flatMap(front =>
    front.ports.filter(({ problem }) => problem !== undefined).map(({ listen }) => sayFrontPort(front, listen)),
  )
  return [
    `A connection to a port of the fronts wakes it: ${tcp.map(sayTcpPort).join(', ')} (shadow port).`,
    ...problems.map(problem => `  ${problem}`),
  ]
}
