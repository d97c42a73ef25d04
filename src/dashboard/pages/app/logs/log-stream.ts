import type { LogLine } from '../../../../model/instance.ts'
import { SeenLines } from '../../../../model/seen-lines.ts'
import { type ApiError, send } from '../../../api.ts'

type Reading = {
  readonly app: string
  readonly query: Readonly<Record<string, string>>
  readonly tail: number
  readonly isLive: boolean
  readonly signal: AbortSignal
  /** Takes lines in their order. More are read once it resolves. */
  readonly take: (lines: readonly LogLine[]) => Promise<void>
  /** `live`: the log is read, and followed if that is wanted. `lost`: the connection was lost; it is tried again. */
  readonly onState: (state: 'live' | 'lost') => void
}

const AGAIN_AFTER_MS = 1_000
/** After a lost connection the log is read again from its last line on, with at most so many lines. */
const MOST_AGAIN = 100_000

/**
 * Reads the log of an app, and wakes nothing. It ends with the log, or never if it is followed: a lost connection is made again, without a
 * line twice. Throws the `ApiError` of a log that cannot be read at all.
 */
export async function readLog({ app, query, tail, isLive, signal, take, onState }: Reading): Promise<void> {
  const seen = new SeenLines()
  for (let wasRead = false; ; ) {
    const again = seen.last
    try {
      const from = again ?? query['since']
      const { body } = await send('appLogs', {
        params: { app },
        query: {
          ...query,
          follow: String(isLive),
          tail: again === undefined ? tail : MOST_AGAIN,
          ...(from && { since: from }),
        },
        signal,
      })
      wasRead = true
      onState('live')
      for await (const lines of linesOf(body)) await take(lines.filter(line => seen.isNew(line, again)))
      if (!isLive) return
    } catch (error) {
      if (signal.aborted) return
      if (!wasRead || !isLive || isFinal(error)) throw error
    }
    onState('lost')
    await new Promise(resolve => setTimeout(resolve, AGAIN_AFTER_MS))
    if (signal.aborted) return
  }
}

/** An app that is gone, or a session that has ended, does not come back. */
const isFinal = (error: unknown): boolean => [401, 403, 404].includes((error as Partial<ApiError>).status ?? 0)

/** The lines of each piece that arrives. A piece may end within a line. */
async function* linesOf(body: ReadableStream<Uint8Array<ArrayBuffer>> | null): AsyncGenerator<readonly LogLine[]> {
  const reader = body?.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const piece = await reader?.read()
    if (piece === undefined || piece.done) break
    const texts = (rest + piece.value).split('\n')
    rest = texts.pop() ?? ''
    yield parsed(texts)
  }
  yield parsed([rest])
}

const parsed = (texts: readonly string[]): readonly LogLine[] =>
  texts.filter(text => text !== '').map(text => JSON.parse(text) as LogLine)
