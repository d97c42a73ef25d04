import { isDeepStrictEqual } from 'node:util'
import type { MasterClient } from '../../api/client.ts'
import type { Register } from '../../api/schemas.ts'
import { isFailure, ShadowError } from '../../lib/errors.ts'
import type { App } from '../../model/app.ts'
import { type Manifest, RULES } from '../manifest/manifest.ts'
import { DIGESTS } from '../printable.ts'
import { type Settled, sayStage, waitForRevision } from '../wait-for-revision.ts'

/** The code that a revision runs. */
export type Content = {
  readonly image: string
  readonly command?: readonly string[]
  readonly source?: { readonly digest: string }
}
export type Released = { readonly app: App; readonly before: App | undefined }

const DEPLOY = { by: 'deploy', ...DIGESTS } as const
// A node may have to pull the image first.
const NO_DEADLINE = (): AbortSignal => new AbortController().signal

const SETS = {
  access: 'setAccess',
  scale: 'setScale',
  wake: 'setWakeRules',
  pages: 'setPages',
  tcp: 'setTcp',
  template: 'setTemplate',
} as const

/** The app, with digests in place of the values of its environment; undefined if there is none of this name. */
export async function appOf(master: MasterClient, name: string): Promise<App | undefined> {
  try {
    return await master.call('getApp', { params: { app: name }, query: DIGESTS })
  } catch (error) {
    if (isFailure(error, 'app-not-found')) return undefined
    throw error
  }
}

/** Makes the app, or its next revision. The file is the whole definition: a field that it leaves out goes back to its default. */
export async function release(
  master: MasterClient,
  { name, manifest, content }: { name: string; manifest: Manifest; content: Content },
): Promise<Released> {
  const { definition, rules } = manifest
  const body = { ...definition, ...content }
  const before = await appOf(master, name)
  const params = { app: name }
  if (before === undefined) {
    const app = await master.call('registerApp', {
      body: { name, ...body, ...rules } as Register,
      query: DEPLOY,
      signal: NO_DEADLINE(),
    })
    return { app, before }
  }
  let app = await master.call('replaceApp', { params, body: body as Register, query: DEPLOY, signal: NO_DEADLINE() })
  // Rules that the file does not have stay as they were set.
  for (const rule of RULES)
    if (rules[rule] !== undefined)
      app = await master.call(SETS[rule], { params, body: rules[rule] as object, query: DIGESTS })
  return { app, before }
}

/** Whether the deploy made no revision, since nothing differs. */
export const isUnchanged = ({ app, before }: Released): boolean =>
  before !== undefined && before.task.revision === app.task.revision && isDeepStrictEqual(before.domains, app.domains)

/**
 * Waits until the revision serves: an awake app changes over to it, and `wakes` wakes an app that sleeps. If it does not get ready, this
 * fails with the reason, the last lines of the app, and the revision that serves on.
 */
export async function settle(
  master: MasterClient,
  released: Released,
  { wakes, onLine }: { wakes: boolean; onLine: (line: string) => void },
): Promise<Settled> {
  const { app, before } = released
  const { name } = app
  try {
    // A revision that was rejected before is tried again by a wake alone.
    if (wakes && isUnchanged(released)) await master.call('wakeApp', { params: { app: name }, signal: NO_DEADLINE() })
    return await waitForRevision(master, app, { wake: wakes, onStage: stage => onLine(sayStage(stage)) })
  } catch (error) {
    if (!(error instanceof ShadowError) || before !== undefined) throw error
    throw new ShadowError(error.code, `${name} was registered and does not get ready: ${error.message}`, error.details)
  }
}

/** What came of it, for people. */
export const saySettled = (settled: Settled, revision: number): string =>
  ({
    serves: `revision ${revision} serves`,
    asleep: `it sleeps, and its next wake runs revision ${revision}`,
    away: `its node is away, and takes revision ${revision} when it is back`,
  })[settled]
