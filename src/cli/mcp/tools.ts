import type { McpServer } from '@modelcontextprotocol/server'
import { z } from 'zod'
import type { MasterClient } from '../../api/client.ts'
import { entriesIn, fileCommands } from '../../api/file-scripts.ts'
import { asShadowError, ShadowError } from '../../lib/errors.ts'
import { MOST_BYTES } from './bounded.ts'
import { runCommand, runOnFile } from './run-command.ts'
import type { Sandboxes } from './sandboxes.ts'

type Result = { content: { type: 'text'; text: string }[]; isError?: boolean }
type Parts = { readonly master: MasterClient; readonly sandboxes: Sandboxes; readonly only: string | undefined }

const USUAL_SECONDS = 300
const MOST_SECONDS = 3_600
const MOST_LISTED = 1_000

const sandbox = z.string().describe('the name of the sandbox, as create_sandbox or list_sandboxes told it')
const path = z.string().min(1).max(4_096).describe('a path in the sandbox; a relative one begins where commands begin')
const env = z.record(z.string(), z.string()).optional()

/** Adds the tools. Whatever goes wrong is the result of the call, so that the model can read it and mend it. */
export function addTools(server: McpServer, { master, sandboxes, only }: Parts): void {
  const template = z.string().describe('the template to make it from')
  server.registerTool(
    'create_sandbox',
    {
      title: 'Create a sandbox',
      description: `Start a sandbox: a container of its own, made from ${only === undefined ? 'a template' : `the template ${only}`}, in which commands run and files are kept. With a name, the sandbox of that name is used again if it lives. It ends by itself when nobody uses it.`,
      inputSchema: z.object({
        // Not asked for where there is one alone.
        template: only === undefined ? template : template.default(only),
        name: z.string().min(1).max(200).optional().describe('left out: a new sandbox each time'),
        env: env.describe('environment variables of a new sandbox'),
      }),
    },
    (args, { mcpReq }) =>
      answered(async () => {
        const { session, state, url, spawned } = await sandboxes.create(args, mcpReq.signal)
        return `sandbox: ${session}\nstate: ${state}${spawned ? ', new' : ''}\nurl: ${url}`
      }),
  )
  server.registerTool(
    'run_command',
    {
      title: 'Run a command',
      description: `Run a shell command in a sandbox and wait for its end. Answers with the exit code and what the command wrote, up to ${MOST_BYTES} bytes. A server has to be started in the background, with its output in a file.`,
      inputSchema: z.object({
        sandbox,
        command: z.string().min(1).max(100_000).describe('run by sh -c'),
        cwd: z.string().startsWith('/').optional().describe('the folder to run in'),
        env: env.describe('environment variables of the command'),
        stdin: z.string().optional().describe('what the command reads from its input'),
        timeout_seconds: z
          .int()
          .min(1)
          .max(MOST_SECONDS)
          .default(USUAL_SECONDS)
          .describe('the command is ended after so long'),
      }),
    },
    ({ sandbox: name, command, cwd, env: variables, stdin, timeout_seconds: seconds }, { mcpReq }) =>
      answered(async () => {
        const late = AbortSignal.timeout(seconds * 1_000)
        const asked = { command: ['sh', '-c', command], env: variables, workdir: cwd, stdin }
        const signal = AbortSignal.any([mcpReq.signal, late])
        const ran = await runCommand(master, sandboxes.mustBe(name), asked, signal).catch(error => {
          if (!late.aborted) throw error
          throw new ShadowError('too-slow', `the command was ended after ${seconds} s`, {
            hint: 'give a longer timeout_seconds, or start it in the background with its output in a file',
          })
        })
        return [`exit code: ${ran.exitCode}`, part('stdout', ran.stdout), part('stderr', ran.stderr)].join('\n')
      }),
  )
  server.registerTool(
    'read_file',
    {
      title: 'Read a file',
      description: `Read a text file of a sandbox, up to ${MOST_BYTES} bytes at a time.`,
      inputSchema: z.object({
        sandbox,
        path,
        offset: z.int().min(0).default(0).describe('how many bytes to skip, to read a large file in parts'),
      }),
    },
    ({ sandbox: name, path: file, offset }, { mcpReq }) =>
      answered(() => readFile(master, sandboxes.mustBe(name), file, offset, mcpReq.signal)),
  )
  server.registerTool(
    'write_file',
    {
      title: 'Write a file',
      description:
        'Write a text file of a sandbox. A file that is there is replaced; folders that are missing are made.',
      inputSchema: z.object({ sandbox, path, content: z.string() }),
    },
    ({ sandbox: name, path: file, content }, { mcpReq }) =>
      answered(async () => {
        const asked = { command: fileCommands.write(file), stdin: content }
        await runOnFile(master, sandboxes.mustBe(name), file, asked, mcpReq.signal)
        return `wrote ${Buffer.byteLength(content)} bytes to ${file}`
      }),
  )
  server.registerTool(
    'list_files',
    {
      title: 'List files',
      description: 'List what is in a folder of a sandbox: kind, size in bytes, time of the last change, name.',
      inputSchema: z.object({ sandbox, path: path.default('.') }),
    },
    ({ sandbox: name, path: folder }, { mcpReq }) =>
      answered(() => listFiles(master, sandboxes.mustBe(name), folder, mcpReq.signal)),
  )
  server.registerTool(
    'get_url',
    {
      title: 'Get a URL',
      description:
        'Get the URL at which a browser reaches a server that runs in a sandbox. The server has to listen on 0.0.0.0. Whoever has the URL may visit.',
      inputSchema: z.object({
        sandbox,
        port: z.int().min(1).max(65_535).optional().describe('left out: the main port of the template'),
      }),
    },
    ({ sandbox: name, port }, { mcpReq }) => answered(() => sandboxes.url(sandboxes.mustBe(name), port, mcpReq.signal)),
  )
  server.registerTool(
    'list_sandboxes',
    {
      title: 'List sandboxes',
      description: 'List the sandboxes that live: name, state, the name that it was created with, and when it ends.',
      inputSchema: z.object({}),
    },
    (_, { mcpReq }) =>
      answered(async () => {
        const found = await sandboxes.list(mcpReq.signal)
        const lines = found.slice(0, MOST_LISTED).map(one => {
          const named = one.key === null ? '' : `, named ${JSON.stringify(one.key.name)}`
          return `${one.session}: ${one.state}${named}${one.until === null ? '' : `, until ${one.until}`}`
        })
        return lines.join('\n') || 'no sandbox lives'
      }),
  )
  server.registerTool(
    'end_sandbox',
    {
      title: 'End a sandbox',
      description: 'End a sandbox. What runs in it is stopped; files outside of its volume are gone.',
      inputSchema: z.object({ sandbox, hard: z.boolean().default(false).describe('at once, without a grace') }),
    },
    ({ sandbox: name, hard }, { mcpReq }) =>
      answered(async () => {
        const { session } = await sandboxes.end(sandboxes.mustBe(name), hard ? 'hard' : 'soft', mcpReq.signal)
        return `${session} has ended`
      }),
  )
}

async function answered(action: () => Promise<string>): Promise<Result> {
  try {
    return { content: [{ type: 'text', text: await action() }] }
  } catch (thrown) {
    const { code, message, details } = asShadowError(thrown)
    const hint = details.hint === undefined ? '' : `\nhint: ${details.hint}`
    return { content: [{ type: 'text', text: `${code}: ${message}${hint}` }], isError: true }
  }
}

const part = (name: string, text: string): string => (text === '' ? `${name}: nothing` : `${name}:\n${text}`)

async function readFile(master: MasterClient, app: string, file: string, offset: number, signal: AbortSignal) {
  const parts: Uint8Array[] = []
  let [skips, bytes, isCut] = [offset, 0, false]
  const take = (piece: Uint8Array): boolean => {
    const rest = piece.subarray(skips)
    skips -= piece.length - rest.length
    const room = rest.subarray(0, MOST_BYTES - bytes)
    parts.push(Buffer.from(room))
    bytes += room.length
    isCut = room.length < rest.length
    return !isCut
  }
  await runOnFile(master, app, file, { command: fileCommands.read(file), take }, signal)
  const whole = Buffer.concat(parts)
  if (whole.includes(0))
    throw new ShadowError('bad-input', `${file} is no text`, { hint: `run_command: base64 ${file}` })
  return isCut ? `${whole}\n[there is more: read on with offset ${offset + bytes}]` : whole.toString()
}

async function listFiles(master: MasterClient, app: string, folder: string, signal: AbortSignal): Promise<string> {
  const said: Buffer[] = []
  const take = (bytes: Uint8Array): boolean => said.push(Buffer.from(bytes)) < MOST_LISTED
  await runOnFile(master, app, folder, { command: fileCommands.list(folder), take }, signal)
  const entries = entriesIn(Buffer.concat(said).toString())
  const lines = entries
    .slice(0, MOST_LISTED)
    .map(({ kind, size, modifiedAt, name }) => `${kind} ${size} ${modifiedAt} ${name}`)
  const more = entries.length > MOST_LISTED ? [`[${entries.length - MOST_LISTED} more are left out]`] : []
  return [...lines, ...more].join('\n') || 'the folder is empty'
}
