import { readFile } from 'node:fs/promises'
import { type Fault, systemCode } from '../lib/errors.ts'

type Environment = Readonly<Record<string, string | undefined>>

type EnvFile = {
  readonly variables: ReadonlyMap<string, string>
  readonly faults: readonly Fault[]
  /** Bare names that are not set in the environment of the CLI, as `file:line: what`. */
  readonly notes: readonly string[]
}

const NEWLINE = 0x0a
const BOM = /^\ufeff/

/**
 * Reads variables from a file by Docker's rules (docker/cli, pkg/kvfile). In `NAME=VALUE` the value is literal, with its quotes,
 * spaces and `#`. A bare `NAME` takes its value from `environment`, and is left out if it is not set there. A line that begins
 * with `#` is a comment. Each fault names the file and the line.
 */
export async function readEnvFile(file: string, environment: Environment): Promise<EnvFile> {
  const variables = new Map<string, string>()
  const faults: Fault[] = []
  const notes: string[] = []
  const fault = (message: string): void => void faults.push({ field: '--env-file', message })
  let bytes: Buffer
  try {
    bytes = await readFile(file)
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    fault((error as Error).message)
    return { variables, faults, notes }
  }
  for (const [index, raw] of linesOf(bytes).entries()) {
    const at = `${file}:${index + 1}`
    const text = utf8(raw)
    if (text === undefined) {
      fault(`${at}: is not UTF-8`)
      continue
    }
    const line = (index === 0 ? text.replace(BOM, '') : text).trimStart()
    if (line === '' || line.startsWith('#')) continue
    const equals = line.indexOf('=')
    const name = equals < 0 ? line : line.slice(0, equals)
    const wrong = wrongName(name) ?? (line.includes('\0') ? 'has a NUL byte' : undefined)
    if (wrong !== undefined) fault(`${at}: ${wrong}`)
    else if (equals >= 0) variables.set(name, line.slice(equals + 1))
    else if (environment[name] !== undefined) variables.set(name, environment[name])
    else notes.push(`${at}: ${name} has no value here, and is not set in this environment: it is left out`)
  }
  return { variables, faults, notes }
}

/** What is wrong with the name of a variable, if anything. The message does not repeat the value: it may be a secret. */
function wrongName(name: string): string | undefined {
  if (name === '') return 'has no name before the ='
  if (/\s/.test(name)) return 'the name of the variable has a space in it; write NAME=VALUE'
  return undefined
}

/** The lines without `\n` or `\r\n`. Bytes after the last line end are a line too. */
function linesOf(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = []
  let from = 0
  while (from < bytes.length) {
    const newline = bytes.indexOf(NEWLINE, from)
    const end = newline < 0 ? bytes.length : newline
    const hasReturn = end > from && bytes[end - 1] === 0x0d
    lines.push(bytes.subarray(from, hasReturn ? end - 1 : end))
    from = end + 1
  }
  return lines
}

function utf8(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined // not UTF-8
  }
}
