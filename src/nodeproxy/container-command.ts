import { escapeControls } from '../lib/control-characters.ts'
import type { Container, Runtime } from './runtime/runtime.ts'
import type { Terminal } from './runtime/terminal.ts'

type Options = {
  readonly runtime: Pick<Runtime, 'exec'>
  readonly container: Container
  readonly command: readonly string[]
  /** The command is ended when it aborts. */
  readonly signal: AbortSignal
  /** Of longer output the end is kept. */
  readonly mostBytes: number
}

export type CommandResult = { readonly code: number; readonly said: string }

/** Runs a command beside the app in its container, without input, and resolves with its exit code and the end of its output. */
export async function runInContainer({
  runtime,
  container,
  command,
  signal,
  mostBytes,
}: Options): Promise<CommandResult> {
  const terminal = await runtime.exec(container, { command, env: {} }, signal)
  const ended = Promise.withResolvers<never>()
  ended.promise.catch(() => undefined)
  const end = (): void => ended.reject(signal.reason)
  signal.addEventListener('abort', end, { once: true })
  try {
    signal.throwIfAborted()
    terminal.endInput()
    return await Promise.race([resultOf(terminal, mostBytes), ended.promise])
  } finally {
    signal.removeEventListener('abort', end)
    await terminal.end()
  }
}

async function resultOf(terminal: Terminal, mostBytes: number): Promise<CommandResult> {
  let kept = Buffer.alloc(0)
  for await (const { bytes } of terminal.output) kept = Buffer.concat([kept, bytes]).subarray(-mostBytes)
  return { code: await terminal.exitCode(), said: escapeControls(kept.toString()).trimEnd() }
}
