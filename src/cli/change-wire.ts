import type { MasterClient } from '../api/client.ts'
import { ShadowError } from '../lib/errors.ts'
import type { App } from '../model/app.ts'
import { hostname } from '../model/hostname.ts'
import { usualFormat, type WireCredential, wireFormat, wireHeader } from '../model/wire.ts'
import { changeApp, NO_DEADLINE, STRICT } from './change-app.ts'

export type WireFlags = { readonly wire?: string; readonly header?: string; readonly format?: string }

/** How the flags say that secrets are added to requests; undefined: they are variables. Fails with `bad-input`. */
export function wireOf({ wire, header: given, format }: WireFlags): Omit<WireCredential, 'secret'> | undefined {
  if (wire === undefined) {
    if (given === undefined && format === undefined) return undefined
    throw new ShadowError('bad-input', '--header and --format are for a secret that is added to requests', {
      hint: 'say to which host: --wire api.example.com',
    })
  }
  const header = wireHeader(given ?? 'Authorization')
  return { host: hostname(wire), header, format: wireFormat(format ?? usualFormat(header)) }
}

/** Lets the node of the app add these secrets to its requests to the host. Nothing is done where that is so already. */
export const addWire = (
  master: MasterClient,
  name: string,
  secrets: readonly string[],
  to: Omit<WireCredential, 'secret'>,
): Promise<App> =>
  change(master, name, before => {
    const added = secrets.map(secret => ({ secret, ...to }))
    const isReplaced = ({ secret, host }: WireCredential): boolean => secrets.includes(secret) && host === to.host
    return [...before.filter(one => !isReplaced(one)), ...added]
  })

/** No node adds these secrets any more. */
export const removeWire = (master: MasterClient, name: string, secrets: readonly string[]): Promise<App> =>
  change(master, name, before => before.filter(({ secret }) => !secrets.includes(secret)))

const change = (
  master: MasterClient,
  name: string,
  next: (before: readonly WireCredential[]) => readonly WireCredential[],
): Promise<App> =>
  changeApp(master, name, (app, headers) => {
    const { wire: before = [] } = app.task
    const wire = next(before)
    if (JSON.stringify(wire) === JSON.stringify(before)) return app
    const asked = { params: { app: name }, query: STRICT, signal: NO_DEADLINE() }
    return master.call('updateApp', { ...asked, body: { wire }, headers })
  })
