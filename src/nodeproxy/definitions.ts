import { z } from 'zod'
import { AppSchema } from '../api/schemas.ts'
import type { Log } from '../lib/log.ts'
import { SealedFiles } from '../lib/sealed-files.ts'
import type { Seals } from '../lib/seals.ts'
import type { App } from '../model/app.ts'
import { type AppName, isAppName } from '../model/names.ts'

const Kept = z.object({ app: AppSchema, etag: z.string().nullable(), permit: z.string().optional() })

/** What is kept of an app: its definition, the version that the master gave it, and the permit that it was read with. */
export type Kept = { readonly app: App; readonly etag: string | null; readonly permit?: string | undefined }

export type Definitions = SealedFiles<AppName, Kept>

/**
 * The definitions in files, one for each app, so that a node knows its apps when the master is away. They hold secrets: the key is the
 * node's own, so that a copy of the folder is useless without the key's file.
 */
export const openDefinitions = (given: { folder: string; seals: Seals; log: Log }): Definitions =>
  new SealedFiles({
    ...given,
    what: 'definition',
    contextOf: app => `the definition of ${app}`,
    isName: isAppName,
    mayBeClear: true,
    parse: document => Kept.parse(document),
  })
