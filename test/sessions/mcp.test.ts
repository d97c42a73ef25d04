import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { Client } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { busyboxImage } from '../tools/images.ts'
import { Shadow } from '../tools/shadow.ts'

const MAIN = join(import.meta.dirname, '../../src/cli/main.ts')

let shadow: Shadow
let token: string
const open = new AsyncDisposableStack()
beforeAll(async () => {
  shadow = await Shadow.start()
  const image = await busyboxImage()
  const command = ['sh', '-c', 'mkdir -p /www && echo main > /www/index.html && exec httpd -f -p 8000 -h /www']
  const definition = { image, command, sleep: { idleAfter: '1h' } }
  await shadow.register('box', { ...definition, template: { ports: 'all' } } as object)
  await shadow.register('other', { ...definition, template: {} } as object)
  const made = await shadow.admin.call('createToken', {
    body: { name: 'agent', role: 'owner', apps: ['box', 'other'] } as never,
  })
  token = made.token
})
afterAll(async () => {
  await open.disposeAsync()
  await shadow[Symbol.asyncDispose]()
})

const environment = () => ({ PATH: process.env['PATH'] ?? '', SHADOW_URL: shadow.up.masterUrl, SHADOW_TOKEN: token })

/** A client of `shadow mcp` with these flags. */
async function agent(...flags: string[]) {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [MAIN, 'mcp', ...flags],
    env: environment(),
    stderr: 'inherit',
  })
  const client = new Client({ name: 'test', version: '1' })
  await client.connect(transport)
  open.defer(() => client.close())
  return {
    client,
    async call(name: string, args: Record<string, unknown> = {}, signal?: AbortSignal) {
      const answer = await client.callTool({ name, arguments: args }, { ...(signal && { signal }), timeout: 100_000 })
      const [content] = answer.content as { text: string }[]
      return { text: content?.text ?? '', isError: answer.isError === true }
    },
  }
}
const nameIn = (text: string): string => /^sandbox: (\S+)$/m.exec(text)?.[1] ?? ''

describe('an agent', () => {
  test('makes a sandbox, works in it by all the tools, and ends it', async () => {
    const { client, call } = await agent()
    assert.deepEqual((await client.listTools()).tools.map(({ name }) => name).toSorted(), [
      'create_sandbox',
      'end_sandbox',
      'get_url',
      'list_files',
      'list_sandboxes',
      'read_file',
      'run_command',
      'write_file',
    ])
    const made = await call('create_sandbox', { template: 'box', name: 'work', env: { NAME: 'ann' } })
    assert.ok(!made.isError, made.text)
    const sandbox = nameIn(made.text)
    assert.equal(nameIn((await call('create_sandbox', { template: 'box', name: 'work' })).text), sandbox)

    const ran = await call('run_command', { sandbox, command: 'cat; echo $NAME; echo bad >&2; exit 3', stdin: 'in\n' })
    assert.deepEqual(ran, { text: 'exit code: 3\nstdout:\nin\nann\n\nstderr:\nbad\n', isError: false })

    await call('write_file', { sandbox, path: '/work/notes.txt', content: 'héllo\n' })
    assert.equal((await call('read_file', { sandbox, path: '/work/notes.txt' })).text, 'héllo\n')
    assert.match((await call('list_files', { sandbox, path: '/work' })).text, /^file 7 \S+ notes\.txt$/)

    await call('run_command', { sandbox, command: 'httpd -p 3000 -h /work' })
    const url = new URL((await call('get_url', { sandbox, port: 3000 })).text)
    assert.equal((await shadow.ask(url.host, `${url.pathname}notes.txt`)).text, 'héllo\n')
    const main = new URL((await call('get_url', { sandbox })).text)
    assert.equal((await shadow.ask(main.host, main.pathname)).text, 'main\n')

    assert.match((await call('list_sandboxes')).text, new RegExp(`^${sandbox}: ready, named "work"$`, 'm'))
    assert.equal((await call('end_sandbox', { sandbox, hard: true })).text, `${sandbox} has ended`)
    assert.doesNotMatch((await call('list_sandboxes')).text, new RegExp(sandbox))
  })

  test('is told what went wrong and how to mend it, as the result of the call', async () => {
    const { call } = await agent()
    const sandbox = nameIn((await call('create_sandbox', { template: 'other' })).text)
    for (const [name, args, says] of [
      ['create_sandbox', { template: 'none' }, /^forbidden: /],
      ['run_command', { sandbox: 'box', command: 'pwd' }, /^bad-input: .*\nhint: list_sandboxes/],
      ['run_command', { sandbox: 'box--aaaaaaaaaaaaaaaa', command: 'pwd' }, /^app-not-found: /],
      ['read_file', { sandbox, path: '/none' }, /^not-found: \/none: no such file or folder\nhint: list_files/],
      ['read_file', { sandbox, path: '/bin/busybox' }, /^bad-input: .*no text\nhint: run_command: base64/],
      ['get_url', { sandbox, port: 3000 }, /^port-not-open: .*\nhint: .*--ports all/],
      ['run_command', { sandbox, command: 'sleep 100', timeout_seconds: 1 }, /^too-slow: .*\nhint: /],
    ] as const) {
      const { text, isError } = await call(name, args)
      assert.match(text, says)
      assert.equal(isError, true, name)
    }
  })

  test('gets at most 64 KiB of what a command writes, its beginning and its end', async () => {
    const { call } = await agent()
    const sandbox = nameIn((await call('create_sandbox', { template: 'box' })).text)
    const { text } = await call('run_command', { sandbox, command: 'echo first; seq 1 100000; echo last' })
    assert.match(text, /stdout:\nfirst\n1\n[\s\S]*\[\d+ bytes are left out here[\s\S]*100000\nlast\n/)
    assert.ok(text.length < 66_000)
    await call('run_command', { sandbox, command: 'seq 1 100000 > /big' })
    const first = (await call('read_file', { sandbox, path: '/big' })).text
    const next = Number(/\[there is more: read on with offset (\d+)\]$/.exec(first)?.[1])
    assert.equal(next, 65_536)
    const second = (await call('read_file', { sandbox, path: '/big', offset: next })).text
    const whole = [first, second].map(part => part.replace(/\n\[there is more.*$/, '')).join('')
    assert.match(whole, /^1\n2\n[\s\S]*\n20000\n20001\n/)
  })

  test('ends a command by cancelling its call', async () => {
    const { call } = await agent()
    const sandbox = nameIn((await call('create_sandbox', { template: 'box', name: 'cancels' })).text)
    const leaving = new AbortController()
    const running = call('run_command', { sandbox, command: 'echo $$ > /tmp/pid; exec sleep 1000' }, leaving.signal)
    const exit = async (command: string) => (await call('run_command', { sandbox, command })).text.split('\n')[0]
    await shadow.eventually(async () => (await exit('test -s /tmp/pid')) === 'exit code: 0')
    leaving.abort('enough')
    await assert.rejects(running)
    await shadow.eventually(async () => (await exit('kill -0 $(cat /tmp/pid)')) === 'exit code: 1')
  })

  test('of one template sees and makes its sandboxes alone', async () => {
    const all = await agent()
    const others = nameIn((await all.call('create_sandbox', { template: 'other', name: 'apart' })).text)
    const { call } = await agent('--template', 'box')
    const own = nameIn((await call('create_sandbox', { name: 'mine' })).text)
    assert.match(own, /^box--/)
    const listed = (await call('list_sandboxes')).text
    assert.match(listed, new RegExp(own))
    assert.doesNotMatch(listed, /other--/)
    for (const [name, args] of [
      ['run_command', { sandbox: others, command: 'pwd' }],
      ['end_sandbox', { sandbox: others }],
      ['create_sandbox', { template: 'other' }],
    ] as const) {
      const { text, isError } = await call(name, args)
      assert.match(text, /^forbidden: /)
      assert.equal(isError, true)
    }
  })
})

test('nothing but the protocol is on stdout, and the server ends when stdin closes', async () => {
  const child = spawn(process.execPath, [MAIN, 'mcp'], { env: environment(), stdio: ['pipe', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    said += chunk
  })
  child.stdin.write('this is no message\n')
  const initialize = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'raw', version: '1' } }
  child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params: initialize })}\n`)
  await shadow.eventually(async () => said.includes('"id":1'))
  for (const line of said.trim().split('\n')) assert.equal(JSON.parse(line).jsonrpc, '2.0')
  const ended = once(child, 'exit')
  child.stdin.end()
  assert.deepEqual(await ended, [0, null])
})
