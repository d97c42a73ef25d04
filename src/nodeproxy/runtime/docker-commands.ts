import { posix } from 'node:path'
import type Docker from 'dockerode'
import { type Engine, unlessStatus } from './docker-engine.ts'

type Config = Docker.ContainerInspectInfo['Config']

const USUAL_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const TAR_HEAD = 512
const FIRST_BYTES = 256
const SYMLINK = '2'

/** Looks for the command of a container among its files, whether it runs or not. */
export class DockerCommands {
  readonly #engine: Engine

  constructor(engine: Engine) {
    this.#engine = engine
  }

  /**
   * What is missing of the command, in words; undefined where nothing is found to be. `hidden` are folders that a volume or a
   * source will be over: what is in there is not known yet.
   */
  async missing(id: string, config: Config, hidden: readonly string[] = []): Promise<string | undefined> {
    const [program] = [config.Entrypoint ?? [], config.Cmd ?? []].flat()
    if (program === undefined) return 'its image names no command'
    const paths = candidates(program, config)
    if (paths.some(path => hidden.some(folder => `${path}/`.startsWith(`${folder}/`)))) return undefined
    for (const path of paths) {
      const first = await this.#first(id, path)
      if (first === undefined) continue
      if (first === 'link') return undefined
      const [, interpreter] = /^#! *(\S+)/.exec(first) ?? []
      if (interpreter === undefined || (await this.#first(id, interpreter)) !== undefined) return undefined
      return `${path} is there, but its interpreter ${interpreter} is not`
    }
    return `"${program}" is not in the image`
  }

  /** The first bytes of a file; undefined where there is none. */
  async #first(id: string, path: string): Promise<string | undefined> {
    const call = { method: 'GET', path: `/containers/${encodeURIComponent(id)}/archive?`, options: { path } } as const
    const chunks: Buffer[] = []
    let bytes = 0
    try {
      for await (const chunk of this.#engine.stream(call, new AbortController().signal)) {
        chunks.push(chunk)
        bytes += chunk.length
        if (bytes >= TAR_HEAD + FIRST_BYTES) break
      }
    } catch (error) {
      if (error instanceof Error && /not a directory/i.test(error.message)) return undefined
      return unlessStatus(404)(error)
    }
    const archive = Buffer.concat(chunks)
    if (archive.toString('latin1', 156, 157) === SYMLINK) return 'link'
    return archive.toString('latin1', TAR_HEAD, TAR_HEAD + FIRST_BYTES)
  }
}

function candidates(program: string, { WorkingDir, Env }: Config): readonly string[] {
  if (program.includes('/')) return [posix.resolve(WorkingDir || '/', program)]
  const path = (Env ?? []).find(one => one.startsWith('PATH='))?.slice(5) || USUAL_PATH
  return path.split(':').map(folder => posix.resolve(WorkingDir || '/', folder, program))
}
