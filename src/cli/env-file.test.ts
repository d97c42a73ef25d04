import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, test } from 'vitest'
import { readEnvFile } from './env-file.ts'

let folder: string
let file: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shadow-env-'))
  file = join(folder, 'app.env')
})
afterAll(() => rm(folder, { recursive: true }))

async function read(content: string | Buffer, environment: Record<string, string> = {}) {
  await writeFile(file, content)
  const { variables, faults, notes } = await readEnvFile(file, environment)
  return { variables: Object.fromEntries(variables), faults: faults.map(({ message }) => message), notes }
}

// The results are those of `docker run --env-file` for the same lines.
for (const [line, variables] of [
  ['PASSWORD=pa#ss', { PASSWORD: 'pa#ss' }],
  ['URL=http://x/#frag', { URL: 'http://x/#frag' }],
  ["A='a' b", { A: "'a' b" }],
  ['Q="two words"', { Q: '"two words"' }],
  ['A= spaces stay ', { A: ' spaces stay ' }],
  ['  A=1', { A: '1' }],
  ['A=x=y', { A: 'x=y' }],
  ['A=', { A: '' }],
  ['discovery.type=single-node', { 'discovery.type': 'single-node' }],
  ['with-dash=1', { 'with-dash': '1' }],
  ['export=1', { export: '1' }],
  ['A=\\n$B', { A: '\\n$B' }],
  ['# comment', {}],
  ['  # comment', {}],
  ['', {}],
  ['   ', {}],
  ['A=ä \u{1f600}', { A: 'ä \u{1f600}' }],
  ['\ufeffA=1', { A: '1' }],
  ['A=1\r\nB=2\r\n', { A: '1', B: '2' }],
  ['A=1\nA=2', { A: '2' }],
  ['HERE', { HERE: 'value of here' }],
  ['EMPTY', { EMPTY: '' }],
] as const) {
  test(`${JSON.stringify(line)} is ${JSON.stringify(variables)}`, async () => {
    assert.deepEqual(await read(line, { HERE: 'value of here', EMPTY: '' }), { variables, faults: [], notes: [] })
  })
}

test('a bare name that the environment does not have is left out, and told', async () => {
  const { variables, faults, notes } = await read('A=1\nNOWHERE\n')
  assert.deepEqual([variables, faults], [{ A: '1' }, []])
  assert.match(notes.join(), /app\.env:2: NOWHERE /)
})

for (const [content, wrong] of [
  ['=v', /app\.env:1: has no name/],
  ['A=1\n\n# x\nmy name=v', /app\.env:4: the name .* has a space/],
  ['A =v', /app\.env:1: the name .* has a space/],
  ['A\u00a0B=v', /app\.env:1: the name .* has a space/],
  [Buffer.from('A=1\nB=caf\xe9\n', 'latin1'), /app\.env:2: is not UTF-8/],
  ['A=\0', /app\.env:1: has a NUL byte/],
] as const) {
  test(`${JSON.stringify(String(content))} is a fault of its line`, async () => {
    const { faults } = await read(content)
    assert.equal(faults.length, 1)
    assert.match(faults.join(), wrong)
  })
}
