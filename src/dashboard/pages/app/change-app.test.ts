import { afterEach, expect, test, vi } from 'vitest'
import type { App } from '../../../model/app.ts'
import type { ApiError } from '../../api.ts'
import type { AppFacts, ReadApp } from '../../use-app.ts'
import { changeApp } from './change-app.ts'

const app = (fields: Partial<App>): App => ({ name: 'blog', domains: [], ...fields }) as unknown as App

/** A master that has this app at this version, and writes down what it was sent. */
function master(stored: App, version: string) {
  const sent: { readonly ifMatch: string; readonly body: unknown }[] = []
  vi.stubGlobal('fetch', async (_: string, { method, headers, body }: RequestInit) => {
    const ifMatch = new Headers(headers).get('if-match') ?? ''
    if (method === 'GET') return Response.json(stored, { headers: { etag: version } })
    sent.push({ ifMatch, body: JSON.parse(String(body)) })
    if (ifMatch !== version) return Response.json({ code: 'changed', detail: 'changed' }, { status: 412 })
    return Response.json({ ...stored, access: { allow: [], deny: ['10.0.0.1'] } }, { headers: { etag: 'after' } })
  })
  return sent
}

function page(shown: App) {
  const replaced: ReadApp[] = []
  const facts = { app: shown, etag: 'old', replace: (read: ReadApp) => void replaced.push(read) } as unknown as AppFacts
  return { facts, replaced }
}

afterEach(() => void vi.unstubAllGlobals())

const change = {
  call: 'setAccess',
  body: (now: App) => ({ deny: ['10.0.0.1'], was: now.domains }),
  seen: (now: App) => now.access,
} as const

test('a change of something that the person did not see is no conflict: the change is made on top of it', async () => {
  const sent = master(app({ domains: ['new.example.com'] as never }), 'new')
  const { facts, replaced } = page(app({}))
  await changeApp(facts, change)
  expect(sent.map(({ ifMatch }) => ifMatch)).toEqual(['old', 'new'])
  expect(sent[1]?.body).toEqual({ deny: ['10.0.0.1'], was: ['new.example.com'] })
  expect(replaced).toMatchObject([{ etag: 'after', app: { access: { deny: ['10.0.0.1'] } } }])
})

test('a change of what the person saw is a conflict: nothing is saved, and the page shows what is stored', async () => {
  const stored = app({ access: { allow: [], deny: ['192.0.2.1'] } as never })
  const sent = master(stored, 'new')
  const { facts, replaced } = page(app({}))
  const error = await changeApp(facts, change).catch((failure: ApiError) => failure)
  expect(error).toMatchObject({ code: 'changed', message: expect.stringContaining('what you typed is still here') })
  expect(sent).toHaveLength(1)
  expect(replaced).toEqual([{ app: stored, etag: 'new' }])
})
