import { isDeepStrictEqual } from 'node:util'
import { ShadowError } from '../lib/errors.ts'
import type { App } from '../model/app.ts'
import { isUsual } from '../model/scale.ts'
import type { TcpPort } from '../model/tcp.ts'
import type { PortClaims, PortText } from './claims.ts'
import type { AppRecord } from './records.ts'

type WithPorts = Pick<App, 'tcp'>

/** The ports to store in an app's document, in their order. An app without ports has none. */
export const tcpOf = (said: readonly TcpPort[] | undefined): WithPorts =>
  said === undefined || said.length === 0 ? { tcp: undefined } : { tcp: said.toSorted((a, b) => a.listen - b.listen) }

/** Whether both apps have the same ports. */
export const sameTcp = (one: WithPorts, other: WithPorts): boolean =>
  isDeepStrictEqual(JSON.parse(JSON.stringify(one.tcp ?? [])), JSON.parse(JSON.stringify(other.tcp ?? [])))

const listensOf = ({ tcp = [] }: WithPorts): readonly PortText[] => tcp.map(({ listen }): PortText => `${listen}`)

/** Claims the ports that the app gains. Fails with `port-taken`. */
export const takePorts = (claims: PortClaims, app: App, over: AppRecord) => {
  const had = over.state === 'live' ? listensOf(over.app) : []
  return claims.take(
    app.name,
    listensOf(app).filter(listen => !had.includes(listen)),
  )
}

/** The claims of the ports that the app is about to lose. */
export const droppedPorts = (claims: PortClaims, before: App, after: WithPorts) => {
  const keeps = listensOf(after)
  return claims.known(
    before.name,
    listensOf(before).filter(listen => !keeps.includes(listen)),
  )
}

/**
 * Fails with `bad-input` if no connection could get to the app, since it is a template or a session that asks for tokens; or if it may have
 * several instances, since a connection goes to its one instance.
 */
export function mustSuitTcp(app: Pick<App, 'name' | 'scale' | 'tcp' | 'template' | 'session'>): void {
  const { name, scale, tcp, template, session } = app
  if (tcp === undefined) return
  if (template !== undefined || session?.visitors === 'token') {
    const message = 'cannot be given to a template, or to a session that asks for tokens: no connection could get to it'
    throw new ShadowError('bad-input', `tcp: ${message}`, { faults: [{ field: 'tcp', message }] })
  }
  if (scale === undefined || isUsual(scale)) return
  const message = 'cannot be given to an app with rules of scaling: its connections go to one instance'
  throw new ShadowError('bad-input', `tcp: ${message}`, {
    faults: [{ field: 'tcp', message }],
    hint: `shadow scale ${name} --min default --max default --concurrency default --target-cpu default; or shadow port rm ${name} --all`,
  })
}
