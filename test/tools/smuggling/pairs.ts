import { afterAll, beforeAll, describe } from 'vitest'
import { hasProgram } from '../programs.ts'
import { aFolder } from './folder.ts'
import type { Front } from './front.ts'
import { fronts, type Opens } from './fronts.ts'

type Reached = AsyncDisposable & { readonly address: string }

/** A proxy and the back end behind it. */
export type Pair<B extends Reached> = { readonly front: Front; readonly backend: B }

/** Back ends by name, each with the program that it needs. */
export type Backends<B extends Reached> = Readonly<
  Record<string, { readonly needs?: string; readonly open: (folder: string) => Promise<B> }>
>

/** Describes each front that passes `attacked`, with each of its back ends; a pair is open while its tests run. */
export function describePairs<B extends Reached>(
  backends: Backends<B>,
  tests: (pair: () => Pair<B>) => void,
  attacked: (front: Opens) => boolean = () => true,
): void {
  for (const [frontName, given] of Object.entries(fronts).filter(([, front]) => attacked(front)))
    for (const [backendName, { needs, open }] of Object.entries(backends)) {
      if (given.skips?.includes(backendName)) continue
      const missing = needs !== undefined && !hasProgram(needs) ? ` (skipped: ${needs} is not installed)` : ''
      describe.skipIf(missing !== '')(`${frontName} before ${backendName}${missing}`, () => {
        const started = new AsyncDisposableStack()
        let pair: Pair<B>
        beforeAll(async () => {
          const backend = started.use(await open(await aFolder(started)))
          pair = { backend, front: started.use(await given.open(backend.address)) }
        })
        afterAll(() => started.disposeAsync())
        tests(() => pair)
      })
    }
}
