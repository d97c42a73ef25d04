import { Agent, request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'

const SOCKET = process.env['SHADOW_DOCKER_SOCKET'] ?? '/var/run/docker.sock'
const PORT = 8000

/** The minimal way to a running server: Docker's API over its socket, and a loop that connects. */
export type BareDocker = AsyncDisposable & {
  /** Creates and starts a container. Returns the ms until its port was open, and a function that removes it. */
  start(image: string, command?: readonly string[]): Promise<Started>
}

type Started = {
  readonly ms: number
  /** `ip:port` */
  readonly address: string
  pause(): Promise<unknown>
  unpause(): Promise<unknown>
  remove(): Promise<void>
}

/** Makes a bridge network like ours, for the containers that are started. */
export async function bareDocker(name: string): Promise<BareDocker> {
  const agent = new Agent({ keepAlive: true })
  const call = (method: string, path: string, body?: object) => request(agent, method, path, body)
  const started = new Set<string>()
  await call('POST', '/networks/create', {
    Name: name,
    Driver: 'bridge',
    CheckDuplicate: true,
    Options: { 'com.docker.network.bridge.enable_icc': 'false' },
  })
  const remove = async (id: string): Promise<void> => {
    started.delete(id)
    await call('DELETE', `/containers/${id}?force=true&v=true`)
  }
  return {
    async start(image, command) {
      const from = performance.now()
      const specification = { Image: image, Cmd: command, HostConfig: { NetworkMode: name } }
      const { Id: id } = (await call('POST', '/containers/create', specification)) as { Id: string }
      started.add(id)
      await call('POST', `/containers/${id}/start`)
      const { NetworkSettings } = (await call('GET', `/containers/${id}/json`)) as Inspected
      const ip = NetworkSettings.Networks[name]?.IPAddress ?? ''
      while (!(await opens(ip))) await wait(1)
      return {
        ms: performance.now() - from,
        address: `${ip}:${PORT}`,
        pause: () => call('POST', `/containers/${id}/pause`),
        unpause: () => call('POST', `/containers/${id}/unpause`),
        remove: () => remove(id),
      }
    },
    async [Symbol.asyncDispose]() {
      for (const id of started) await remove(id)
      await call('DELETE', `/networks/${name}`)
      agent.destroy()
    },
  }
}

type Inspected = { NetworkSettings: { Networks: Record<string, { IPAddress: string }> } }

async function request(agent: Agent, method: string, path: string, body?: object): Promise<unknown> {
  const payload = body === undefined ? undefined : JSON.stringify(body)
  const headers = payload === undefined ? {} : { 'content-type': 'application/json' }
  const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
    const sent = httpRequest({ socketPath: SOCKET, agent, method, path, headers })
    sent
      .on('response', answer => {
        let text = ''
        answer
          .setEncoding('utf8')
          .on('data', (more: string) => {
            text += more
          })
          .on('end', () => resolve({ status: answer.statusCode ?? 0, text }))
      })
      .on('error', reject)
      .end(payload)
  })
  if (status >= 300) throw new Error(`Docker answered ${status} to ${method} ${path}: ${text}`)
  return text === '' ? undefined : JSON.parse(text)
}

export function opens(host: string, port = PORT): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, host)
    const end = (open: boolean) => (): void => {
      socket.destroy()
      resolve(open)
    }
    socket.on('connect', end(true)).on('error', end(false))
  })
}
