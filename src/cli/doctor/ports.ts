import { once } from 'node:events'
import { createServer } from 'node:net'
import { systemCode } from '../../lib/errors.ts'
import type { ListenAddress } from '../../lib/settings.ts'
import { type Check, type Finding, ok, problem } from './finding.ts'

/** What a daemon wants to listen on. `isOurs`: it runs, and has the port itself. */
export type WantedPort = {
  readonly setting: string
  readonly of: string
  readonly at: ListenAddress
  readonly isOurs: boolean
}

/** Whether the ports are free that the daemons of this machine listen on. */
export const portsCheck = (wanted: readonly WantedPort[]): Check => ({
  name: 'ports',
  run: () => Promise.all(wanted.map(look)),
})

async function look({ setting, of, at, isOurs }: WantedPort): Promise<Finding> {
  const where = `${at.host.includes(':') ? `[${at.host}]` : at.host}:${at.port}`
  const about = { check: 'ports', what: `the port of the ${of}`, where }
  if (isOurs) return ok({ ...about, value: `the ${of} listens on it` })
  const code = await refusalOf(at)
  if (code === undefined) return ok({ ...about, value: 'free' })
  if (code === 'EADDRINUSE')
    return problem(
      { ...about, value: 'another program has it' },
      `ss -ltnp 'sport = :${at.port}' tells which; end that program, or choose another port: ${setting}`,
    )
  if (code === 'EACCES')
    return problem(
      { ...about, value: 'this user may not listen on it' },
      'run it as root, or choose a port from 1024 on',
    )
  const mend = `choose an address of this machine (ip address): ${setting}`
  return problem({ ...about, value: `cannot be listened on: ${code}` }, mend)
}

/** The system's code of the error that listening there gives; undefined: it can be done. */
async function refusalOf({ host, port }: ListenAddress): Promise<string | undefined> {
  const server = createServer()
  try {
    server.listen({ host, port, exclusive: true })
    await once(server, 'listening')
    return undefined
  } catch (error) {
    return systemCode(error) ?? 'unknown'
  } finally {
    server.close()
  }
}
