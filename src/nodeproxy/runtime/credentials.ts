import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { z } from 'zod'
import { readIfThere } from '../../lib/files.ts'

export type Credentials = {
  readonly serveraddress: string
  readonly username?: string
  readonly password?: string
  readonly identitytoken?: string
}

const ConfigSchema = z.object({
  auths: z
    .record(z.string(), z.object({ auth: z.string().optional(), identitytoken: z.string().optional() }))
    .default({}),
  credHelpers: z.record(z.string(), z.string()).default({}),
  credsStore: z.string().optional(),
})
const HelperSchema = z.object({ Username: z.string(), Secret: z.string() })

/** What `docker login` keeps for the registry in a Docker config file; Docker's API, unlike its CLI, does not look there. */
export async function credentialsFor(
  registry: string,
  configFile: string,
  signal: AbortSignal,
): Promise<Credentials | undefined> {
  const json = await readIfThere(configFile)
  if (json === undefined) return undefined
  const config = ConfigSchema.parse(JSON.parse(json))
  const helper = config.credHelpers[registry] ?? config.credsStore
  if (helper !== undefined) return fromHelper(helper, registry, signal)
  const entry = config.auths[registry] ?? config.auths[`https://${registry}`]
  if (entry === undefined) return undefined
  if (entry.identitytoken !== undefined) return { serveraddress: registry, identitytoken: entry.identitytoken }
  const [username = '', ...password] = Buffer.from(entry.auth ?? '', 'base64')
    .toString()
    .split(':')
  return { serveraddress: registry, username, password: password.join(':') }
}

/** Asks a credential helper, as Docker's CLI does; one that knows nothing of the registry means: without credentials. */
async function fromHelper(helper: string, registry: string, signal: AbortSignal): Promise<Credentials | undefined> {
  const child = spawn(`docker-credential-${helper}`, ['get'], { stdio: ['pipe', 'pipe', 'ignore'], signal })
  const failed = new Promise<undefined>(resolve => child.on('error', () => resolve(undefined)))
  child.stdin.on('error', () => undefined) // it ended without reading its input; its output has the result
  child.stdin.end(registry)
  const output = await Promise.race([text(child.stdout), failed])
  const answer = HelperSchema.safeParse(jsonOrNothing(output))
  if (!answer.success) return undefined
  const { Username, Secret } = answer.data
  if (Username === '<token>') return { serveraddress: registry, identitytoken: Secret }
  return { serveraddress: registry, username: Username, password: Secret }
}

function jsonOrNothing(output: string | undefined): unknown {
  try {
    return JSON.parse(output ?? '')
  } catch {
    return undefined // "credentials not found" comes as plain words
  }
}
