import { join } from 'node:path'
import { type MasterClient, masterClient } from '../api/client.ts'
import { ShadowError, systemCode } from '../lib/errors.ts'
import { readIfThere } from '../lib/files.ts'
import { readSettings } from '../lib/settings.ts'
import { Credentials } from '../lib/tls/credentials.ts'
import { MASTER_CALL_WITHIN } from '../model/intervals.ts'
import { MASTER_HOST } from '../model/member.ts'
import { readAuthority } from './authority-file.ts'
import { cliSettings, contextsFile, dataFolders } from './config.ts'
import { readEndpoints } from './endpoints.ts'
import type { Terminal } from './terminal.ts'

/** The master that a command calls with its URL, and the URL of its front where that is known. */
export type Target = { readonly master: MasterClient; readonly url: string; readonly front: string | undefined }

type Endpoint = {
  readonly url: string
  readonly token: string
  /** The CA of the cluster, PEM. */
  readonly ca?: string | undefined
  readonly front?: string | undefined
}

/** Finds the master: --context, SHADOW_URL, the current context, or the Shadow on this machine, in this order. */
export async function findTarget(
  terminal: Terminal,
  flags: { context?: string | undefined },
  withinMs = MASTER_CALL_WITHIN,
): Promise<Target> {
  const { url, token, ca, front } = await findEndpoint(terminal, flags.context)
  const tls = ca === undefined ? undefined : { servername: MASTER_HOST, credentials: new Credentials({ ca }) }
  return { master: masterClient({ url, token, tls, withinMs }), url, front }
}

/** Where editors get the JSON Schema of shadow.toml: the master that this CLI calls, or the usual one of this machine. */
export async function schemaUrl(terminal: Terminal): Promise<string> {
  const endpoint = await findEndpoint(terminal, undefined).catch(() => undefined) // no master is needed to write a file
  return new URL('/shadow.schema.json', endpoint?.url ?? 'http://127.0.0.1:8080').href
}

async function findEndpoint({ env }: Terminal, flag: string | undefined): Promise<Endpoint> {
  const settings = readSettings(cliSettings, env)
  const named = flag ?? (settings.url === undefined ? settings.context : undefined)
  if (named === undefined && settings.url !== undefined) {
    if (settings.token === undefined)
      throw new ShadowError('unauthorised', 'SHADOW_URL is set but SHADOW_TOKEN is not', {
        hint: 'set both, or neither and use a context: shadow context add',
      })
    return { url: settings.url, token: settings.token, ca: settings.ca && (await readAuthority(settings.ca)) }
  }
  const endpoint = (await fromContexts(contextsFile(env), named)) ?? (await fromThisMachine(dataFolders(env)))
  if (endpoint !== undefined) return endpoint
  throw new ShadowError('master-unreachable', `no master is known: none runs on ${dataFolders(env).join(' or ')}`, {
    hint: 'start one here with shadow up (SHADOW_DATA names another folder), or: shadow context add NAME --url URL --token TOKEN',
  })
}

async function fromContexts(file: string, name: string | undefined): Promise<Endpoint | undefined> {
  if (name === undefined && (await readIfThere(file)) === undefined) return undefined
  const { openContexts } = await import('./contexts.ts')
  const contexts = await openContexts(file)
  const chosen = name ?? contexts.current
  return chosen === null ? undefined : contexts.get(chosen)
}

async function fromThisMachine(folders: readonly string[]): Promise<Endpoint | undefined> {
  for (const folder of folders) {
    const token = await readToken(join(folder, 'tokens/admin'))
    if (token === undefined) continue
    const endpoints = await readEndpoints(folder)
    if (endpoints !== undefined)
      return { url: endpoints.master, token: token.trim(), ca: endpoints.ca, front: endpoints.front }
  }
  return undefined
}

async function readToken(file: string): Promise<string | undefined> {
  try {
    return await readIfThere(file)
  } catch (cause) {
    if (systemCode(cause) !== 'EACCES') throw cause
    throw new ShadowError('forbidden', `${file} is not yours to read`, {
      cause,
      hint: 'run it as the user that Shadow runs as (sudo), or: shadow context add NAME --url URL --token TOKEN',
    })
  }
}
