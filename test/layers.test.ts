import { glob, readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { circlesOf, faultsOf, importsOf, type Source } from './tools/layers.ts'

const root = `${import.meta.dirname}/..`

async function sources(pattern = 'src/**/*.{ts,tsx}'): Promise<Source[]> {
  const all: Source[] = []
  for await (const path of glob(pattern, { cwd: root }))
    all.push({ path, text: await readFile(`${root}/${path}`, 'utf8') })
  return all
}

test('imports go one way, libraries stay behind their contracts, and files stay short', async () => {
  const all = await sources()
  expect(all.length).toBeGreaterThan(20)
  expect(faultsOf(all)).toEqual([])
})

test('no files import one another in a circle, type imports included', async () => {
  expect(circlesOf(await sources('{src,bench,test,contrib}/**/*.{ts,tsx}'))).toEqual([])
})

for (const [what, files, circles] of [
  ['two files', { a: ['b'], b: ['a'] }, [['a', 'b']]],
  ['three files, and one beside them', { a: ['b'], b: ['c'], c: ['a'], d: ['a'] }, [['a', 'b', 'c']]],
  ['a file that imports itself', { a: ['a'] }, [['a']]],
  [
    'two circles, one behind the other',
    { a: ['b'], b: ['a', 'c'], c: ['d'], d: ['c'] },
    [
      ['a', 'b'],
      ['c', 'd'],
    ],
  ],
  ['no circle where two ways lead to one file', { a: ['b', 'c'], b: ['d'], c: ['d'], d: [] }, []],
] as const) {
  test(`the circles test sees ${what}`, () => {
    const all = Object.entries(files).map(([name, imports]) => ({
      path: `src/lib/${name}.ts`,
      text: (imports as readonly string[]).map(from => `import type { X } from './${from}.ts'\n`).join(''),
    }))
    expect(circlesOf(all)).toEqual(circles.map(group => group.map(name => `src/lib/${name}.ts`)))
  })
}

// The checker itself: each of these would pass unseen if it looked at nothing.
for (const [what, path, text, fault] of [
  ['model that imports a daemon', 'src/model/a.ts', `import { x } from '../proxy/pins.ts'`, 'model imports proxy'],
  ['one daemon that imports another', 'src/proxy/a.ts', `import x from '../master/b.ts'`, 'proxy imports master'],
  ['a type across daemons', 'src/proxy/a.ts', `import type { X } from '../nodeproxy/b.ts'`, 'proxy imports nodeproxy'],
  ['an export from another layer', 'src/lib/a.ts', `export { x } from '../api/b.ts'`, 'lib imports api'],
  ['an import over many lines', 'src/lib/a.ts', `import {\n  x,\n  y,\n} from '../api/b.ts'`, 'lib imports api'],
  ['an import for its effects', 'src/lib/a.ts', `import '../api/b.ts'`, 'lib imports api'],
  ['a lazy import', 'src/api/a.ts', `const x = await import('../cli/b.ts')`, 'api imports cli'],
  ['product code that imports test parts', 'src/cli/a.ts', `import '../testing/clock.ts'`, 'cli imports testing'],
  ['a folder that is no layer', 'src/drivers/a.ts', `import '../lib/a.ts'`, '"drivers" is no layer'],
  ['Docker outside its driver', 'src/nodeproxy/wake.ts', `import D from 'dockerode'`, 'imports dockerode'],
  ['Docker at start', 'src/nodeproxy/runtime/docker.ts', `import D from 'dockerode'`, 'at start'],
  ['the AWS SDK outside its drivers', 'src/master/a.ts', `await import('@aws-sdk/client-s3')`, 'imports @aws-sdk'],
  ['express outside the master', 'src/proxy/a.ts', `import express from 'express'`, 'imports express'],
  ['another log', 'src/proxy/a.ts', `import { pino } from 'pino'`, 'imports pino'],
  ['the environment read anywhere', 'src/proxy/pins.ts', `const x = process.env['X']`, 'reads process.env'],
  ['an internal of Node used anywhere', 'src/proxy/a.ts', `const { _handle: handle } = socket`, 'uses _handle'],
  ['machinery that knows our nouns', 'src/lib/mutex.ts', `const byVolume = new Map()`, 'lib says "byVolume"'],
  [
    'a room of HTTP that another may not import',
    'src/lib/http/wire/a.ts',
    `import '../guard/b.ts'`,
    'wire imports guard',
  ],
  [
    'the version of a client in the upstream',
    'src/lib/http/upstream/a.ts',
    `import '../downstream/h2/b.ts'`,
    'downstream',
  ],
  ['a room beside those of HTTP', 'src/lib/http/fast/a.ts', `import '../wire/b.ts'`, '"fast" is no room'],
  [
    'what stands beside the rooms in the wire',
    'src/lib/http/wire/a.ts',
    `import type { X } from '../b.ts'`,
    'wire imports src',
  ],
  ['a file too long', 'src/lib/a.ts', 'x\n'.repeat(501), '501 lines'],
] as const) {
  test(`the layers test sees ${what}`, () => {
    expect(faultsOf([{ path, text }])).toEqual([expect.stringContaining(fault)])
  })
}

for (const [what, path, text] of [
  ['a lazy SDK in its driver', 'src/nodeproxy/runtime/docker.ts', `const { default: D } = await import('dockerode')`],
  ['an SDK for its types', 'src/master/storage/s3.ts', `import type { S3Client } from '@aws-sdk/client-s3'`],
  ['a room of HTTP that imports another below it', 'src/lib/http/downstream/h1/a.ts', `import '../../wire/b.ts'`],
  ['test parts in a test', 'src/proxy/a.test.ts', `import { HandClock } from '../testing/clock.ts'`],
  ['the composition root', 'src/cli/up.ts', `import { x } from '../master/main.ts'\nimport '../proxy/main.ts'`],
  ['words in strings and comments of lib', 'src/lib/a.ts', `// an app\nconst x = 'app' /* volume */`],
] as const) {
  test(`the layers test lets pass ${what}`, () => {
    expect(faultsOf([{ path, text }])).toEqual([])
  })
}

test('an import is found whatever way it is written', () => {
  const text = `import a, { b } from 'a'\nexport * from "b"\nlet x: typeof import('c')\n// import 'd'\nimport type E from 'e'`
  expect(importsOf(text).map(({ from }) => from)).toEqual(['a', 'b', 'e', 'c'])
})
