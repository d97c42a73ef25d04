import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { freePort } from '../../src/testing/free-port.ts'
import { Shadow } from '../tools/shadow.ts'

const run = promisify(execFile)
const BIN = '/usr/lib/postgresql/15/bin'
const HAS_POSTGRES = existsSync(`${BIN}/postgres`)

describe.skipIf(!HAS_POSTGRES)('PostgreSQL of Debian (apt-get install postgresql-15)', () => {
  let shadow: Shadow
  let listen: number
  beforeAll(async () => {
    const image = (await run(join(import.meta.dirname, '../tools/make-postgres-image'))).stdout.trim()
    listen = await freePort()
    shadow = await Shadow.start({ env: { SHADOW_TCP_PORTS: '1024-65535' } })
    await shadow.register('db', {
      image,
      port: 5_432,
      // It opens its port a moment before it lets anybody in.
      ready: { kind: 'log', line: 'database system is ready to accept connections' },
      domains: [],
      volume: { size: '256MiB' },
      sleep: { idleAfter: '10s', grace: '30s' },
      tcp: [{ port: 5_432, listen }],
    })
    await shadow.eventually(async () => {
      const { fronts } = await shadow.admin.call('getTcp', { params: { app: 'db' } })
      return fronts.some(({ ports }) => ports.some(port => port.listen === listen && port.problem === undefined))
    })
  }, 120_000)
  afterAll(() => shadow?.[Symbol.asyncDispose]())

  const psql = async (statement: string): Promise<string> =>
    (
      await run(`${BIN}/psql`, ['-h', '127.0.0.1', '-p', String(listen), '-U', 'postgres', '-Atc', statement], {
        env: { ...process.env, PGCONNECT_TIMEOUT: '60' },
      })
    ).stdout.trim()

  test('psql wakes it by its port, and a write in each of three cycles is there', async () => {
    await psql('create table words (word text)')
    for (const word of ['one', 'two', 'three']) {
      await psql(`insert into words values ('${word}')`)
      await shadow.pass(15_000)
      await shadow.until('db', 'asleep')
    }
    assert.equal(await psql('select word from words order by word'), 'one\nthree\ntwo')
    assert.match(
      (await shadow.instance('db')).wokenBy ?? '',
      new RegExp(`^connection to port 5432 from 127.0.0.1:\\d+ on port ${listen}$`),
    )
  })

  test('a session of psql keeps it awake, and shadow why names it', async () => {
    const psqlSession = execFile(`${BIN}/psql`, ['-h', '127.0.0.1', '-p', String(listen), '-U', 'postgres', '-At'])
    const answers: string[] = []
    psqlSession.stdout?.on('data', bytes => answers.push(String(bytes)))
    psqlSession.stdin?.write('select 1;\n')
    await shadow.eventually(async () => answers.join('') === '1\n')
    await shadow.pass(60_000)
    const { phase, holds } = await shadow.instance('db')
    assert.deepEqual([phase, holds.map(({ kind }) => kind)], ['awake', ['connection']])
    psqlSession.stdin?.write('select 2;\n')
    await shadow.eventually(async () => answers.join('') === '1\n2\n')
    psqlSession.stdin?.end('\\q\n')
    await shadow.until('db', ({ holds: left }) => left.length === 0)
    await shadow.pass(15_000)
    await shadow.until('db', 'asleep')
  })

  test('an app that uses it finds it by its name', async () => {
    const { task } = await shadow.admin.call('getApp', { params: { app: 'db' } })
    const serve = `psql -h db -U postgres -Atc 'select count(*) from words' && exec nc -ll -p 8000 -e true`
    await shadow.register('client', { image: task.image, command: ['sh', '-c', serve], uses: ['db'], port: 8_000 })
    await shadow.wake('client')
    await shadow.untilLogged('client', /^3$/)
    assert.equal((await shadow.instance('db')).phase, 'awake')
  })
})
