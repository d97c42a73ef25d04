import type { z } from 'zod'
import type { TerminalReply, TerminalRequestSchema } from '../../api/terminal-calls.ts'
import { urlOf } from '../api.ts'

export type Size = { readonly columns: number; readonly rows: number }

type Options = {
  readonly app: string
  readonly size: Size
  readonly wake: boolean
  readonly onReply: (reply: TerminalReply) => void
  /** Calls `done` when the bytes were shown. */
  readonly onOutput: (bytes: Uint8Array, done: () => void) => void
  /** The connection is lost, or was closed. */
  readonly onClose: () => void
}

export type Connection = {
  type(bytes: Uint8Array): void
  resize(size: Size): void
  close(): void
}

/** The master ends a terminal whose client sends more than this ahead of what the shell has taken. */
const WINDOW_BYTES = 262_144
const MOST_PIECE_BYTES = 16_384

/** Opens a terminal in the app's container: see docs/look-inside.md for the messages. */
export function connect({ app, size, wake, onReply, onOutput, onClose }: Options): Connection {
  const path = urlOf('openTerminal', { params: { app }, query: { ...size, wake } })
  const socket = new WebSocket(new URL(path, location.href.replace(/^http/, 'ws')))
  socket.binaryType = 'arraybuffer'
  const queue: Uint8Array[] = []
  let untaken = 0
  const isOpen = (): boolean => socket.readyState === WebSocket.OPEN
  const say = (request: z.output<typeof TerminalRequestSchema>): void => {
    if (isOpen()) socket.send(JSON.stringify(request))
  }
  const flush = (): void => {
    for (let next = queue[0]; next !== undefined && isOpen(); next = queue[0]) {
      const piece = next.slice(0, MOST_PIECE_BYTES)
      if (untaken + piece.length > WINDOW_BYTES) return
      socket.send(piece)
      untaken += piece.length
      if (piece.length === next.length) queue.shift()
      else queue[0] = next.subarray(piece.length)
    }
  }
  socket.onopen = flush
  socket.onclose = onClose
  socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
    if (typeof data !== 'string') {
      const bytes = new Uint8Array(data)
      onOutput(bytes, () => say({ taken: bytes.length }))
      return
    }
    const reply: TerminalReply = JSON.parse(data)
    if ('taken' in reply) {
      untaken -= reply.taken
      flush()
    } else onReply(reply)
  }
  return {
    type(bytes) {
      queue.push(bytes)
      flush()
    },
    resize: next => say({ resize: next }),
    close() {
      socket.onclose = null
      socket.onmessage = null
      socket.close()
    },
  }
}
