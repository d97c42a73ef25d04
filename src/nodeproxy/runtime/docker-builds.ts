import { Readable } from 'node:stream'
import { ShadowError } from '../../lib/errors.ts'
import { mapAtMost } from '../../lib/parallel.ts'
import { MASTER_HOST } from '../../model/member.ts'
import type { BuildOrder, ImageBuilder } from '../builds/image-builder.ts'
import { buildkitLines } from './buildkit-log.ts'
import { dockerEngine, unlessStatus } from './docker-engine.ts'
import { dockerPush } from './docker-push.ts'
import { messageOf } from './failures.ts'
import { jsonLines } from './json-lines.ts'

const PERIOD_US = 100_000
const AT_ONCE = 8
/** What the builder says of itself, and nobody needs. */
const NOISE =
  /^ ---> (Running in )?[0-9a-f]{12}$|^Removing intermediate container|^Successfully (built|tagged)|^Step \d+\/\d+ : LABEL shadow\.|^sha256:[0-9a-f]+$/
// The builder makes all of stderr red.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about
const COLOURS = /\u001b\[[0-9;]*m/g
const TRACE = 'moby.buildkit.trace'
const CACHED = ' ---> Using cache'
const NO_BASE =
  /pull access denied|manifest (for .* not found|unknown)|repository .* not found|no such host|dial tcp|server misbehaving|i\/o timeout|TLS handshake|x509/
const FULL = /no space left on device|disk quota exceeded/

/** Builds by the builder of the Docker daemon of this machine. */
export function dockerBuilds({ socketPath }: { readonly socketPath: string }): ImageBuilder {
  const engine = dockerEngine(socketPath)

  /** Sends the content and reads what Docker says of it. Each message goes to `each`. */
  async function send(
    path: string,
    options: object,
    content: AsyncIterable<Uint8Array>,
    each: (message: Message) => void,
    given: AbortSignal,
  ): Promise<void> {
    const broken = new AbortController()
    const signal = AbortSignal.any([given, broken.signal])
    const file = Readable.from(content, { objectMode: false })
    file.on('error', error => broken.abort(error))
    try {
      const answer = engine.stream({ method: 'POST', path, options, file }, signal)
      for await (const message of jsonLines(answer)) each(message as Message)
    } finally {
      file.destroy()
    }
  }

  return {
    async build(context, order, onLine, signal) {
      let id: string | undefined
      let error: string | undefined
      const lines = lineByLine(onLine)
      const buildkit = buildkitLines(line => lines.add(`${line}\n`))
      if (order.isBuildkit) lines.add('built by BuildKit, without a limit of memory and processors\n')
      try {
        await send(
          '/build?',
          optionsOf(order),
          context,
          message => {
            error ??= message.error
            if (typeof message.aux === 'string') {
              if (message.id === TRACE) buildkit(Buffer.from(message.aux, 'base64'))
              return
            }
            id = message.aux?.ID ?? id
            if (message.stream !== undefined) lines.add(message.stream)
            // Progress of a pull has an id of a layer; what is left is the start and the end.
            else if (message.status !== undefined && message.progressDetail === undefined && message.id === undefined)
              lines.add(`${message.status}\n`)
          },
          signal,
        )
      } catch (thrown) {
        lines.end()
        if (signal.aborted || thrown instanceof ShadowError) throw thrown
        throw failed(messageOf(thrown), lines.last, thrown)
      }
      lines.end()
      if (error !== undefined) throw failed(error, lines.last)
      if (id === undefined) throw failed('the builder ended without an image', lines.last)
      return id
    },

    async load(archive, onLine, signal) {
      const loaded: string[] = []
      let error: string | undefined
      await send(
        '/images/load?',
        { quiet: true },
        archive,
        ({ stream, error: failure }) => {
          error ??= failure
          const [, name] = /^Loaded image(?: ID)?: (\S+)/.exec(stream ?? '') ?? []
          if (name !== undefined) loaded.push(name)
        },
        signal,
      )
      if (error !== undefined) throw FULL.test(error) ? full(error) : notLoaded(error)
      const [name, ...others] = loaded
      if (name === undefined) throw notLoaded('there is no image in it')
      if (others.length > 0) throw notLoaded(`there are ${loaded.length} images in it; send one`)
      onLine(`loaded ${name}`)
      return (await engine.ask(docker => docker.getImage(name).inspect())).Id
    },

    async own() {
      const found = await engine.ask(docker => docker.listImages())
      const isOurs = (name: string): boolean => name.startsWith(`${MASTER_HOST}/`)
      const all = await mapAtMost(AT_ONCE, found, async ({ Id: id, RepoTags }) => {
        const names = (RepoTags ?? []).filter(isOurs)
        if (names.length === 0) return []
        const image = await engine.ask(docker => docker.getImage(id).inspect()).catch(unlessStatus(404))
        const { Metadata } = (image ?? {}) as { Metadata?: { LastTagTime?: string } }
        return image === undefined
          ? []
          : names.map(name => ({ id, name, namedAt: Date.parse(Metadata?.LastTagTime ?? image.Created) }))
      })
      return all.flat()
    },

    async untag(name) {
      await engine.ask(docker => docker.getImage(name).remove()).catch(unlessStatus(404, 409))
    },

    push: (image, to, signal) => dockerPush(engine, image, to, signal),

    async tag(id, name) {
      const colon = name.lastIndexOf(':')
      await engine.ask(docker => docker.getImage(id).tag({ repo: name.slice(0, colon), tag: name.slice(colon + 1) }))
    },
  }
}

type Message = {
  readonly stream?: string
  readonly status?: string
  readonly id?: string
  readonly progressDetail?: object
  readonly error?: string
  /** BuildKit's trace is a text. */
  readonly aux?: { readonly ID?: string } | string
}

const optionsOf = ({ dockerfile, target, args, labels, memoryBytes, cpus, network, isBuildkit }: BuildOrder) => ({
  ...(isBuildkit && { version: '2' }),
  dockerfile,
  ...(target !== undefined && { target }),
  buildargs: args,
  labels,
  networkmode: network,
  memory: memoryBytes,
  memswap: memoryBytes, // of both together: none
  cpuperiod: PERIOD_US,
  cpuquota: Math.round(cpus * PERIOD_US),
  // Containers of steps are removed, also those of a step that fails.
  rm: true,
  forcerm: true,
})

const LAST_LINES = 20
const LONGEST_LINE = 4_000

/** Puts pieces of a log together to lines, without what the builder says of itself. */
function lineByLine(onLine: (line: string) => void) {
  let rest = ''
  const last: string[] = []
  const emit = (given: string): void => {
    // A progress bar overwrites its line: the last state is what is left of it.
    const whole = given.replace(COLOURS, '').trimEnd()
    const line = whole.slice(whole.lastIndexOf('\r') + 1, whole.lastIndexOf('\r') + 1 + LONGEST_LINE)
    const isCached = line === CACHED
    if (step !== undefined && line !== '') tell(isCached ? `${step} (cached)` : step)
    if (line !== '') step = undefined
    if (line === '' || isCached || NOISE.test(line)) return
    // Whether it is done again shows in the next line.
    if (/^Step \d+\//.test(line)) step = line
    else tell(line)
  }
  let step: string | undefined
  const tell = (line: string): void => {
    last.push(line)
    if (last.length > LAST_LINES) last.shift()
    onLine(line)
  }
  return {
    last,
    add(piece: string): void {
      const lines = (rest + piece).split('\n')
      rest = (lines.pop() ?? '').slice(-LONGEST_LINE)
      for (const line of lines) emit(line)
    },
    end(): void {
      emit(rest)
      if (step !== undefined) tell(step)
      step = undefined
      rest = ''
    },
  }
}

function failed(error: string, last: readonly string[], cause?: unknown): ShadowError {
  if (FULL.test(error) || FULL.test(last.at(-1) ?? '')) return full(error, cause)
  if (NO_BASE.test(error) && !/returned a non-zero code|executor failed running/.test(error))
    return new ShadowError(
      'image-not-found',
      `a base image of the build is not on the node and cannot be pulled: ${error}`,
      {
        cause,
        hint: 'name another one in FROM or in base of [build], or bring it to the node: docker pull, docker load',
      },
    )
  const step = last.findLast(line => /^Step \d+\/|^\[.*\d+\/\d+\]/.test(line))
  const at = step === undefined ? '' : `, at ${step.replace(/ : /, ': ')}`
  const memory = /(?:non-zero|exit) code: 137/.test(error)
    ? '; 137 means that it was ended, most often for more memory than it may have'
    : ''
  return new ShadowError('build-failed', `the build failed${at}: ${error}${memory}`, {
    cause,
    ...(memory !== '' && { hint: 'give it more: memory of [build], SHADOW_BUILD_MEMORY of the node' }),
  })
}

const full = (error: string, cause?: unknown): ShadowError =>
  new ShadowError('disk-full', `the disk of the node is full: ${error}`, {
    cause,
    hint: 'make room on the node: docker system df, docker image prune',
  })

const notLoaded = (why: string): ShadowError =>
  new ShadowError('bad-input', `the image cannot be taken: ${why}`, {
    hint: 'send what docker save writes of one image',
  })
