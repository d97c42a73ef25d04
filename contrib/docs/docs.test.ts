import { globSync, readdirSync, readFileSync } from 'node:fs'
import { access, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import packageJson from '../../package.json' with { type: 'json' }
import { verbs } from '../../src/cli/commands.ts'
import { settingsTables } from '../../src/cli/docs.ts'
import { failures } from '../../src/lib/errors.ts'
import { anchorsOf, blocksOf, codeOf, linksOf, pathsOf } from './markdown.ts'
import { pages } from './pages.ts'

const ROOT = join(import.meta.dirname, '../..')
const TOP = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md']
const DOCS = readdirSync(join(ROOT, 'docs'), { recursive: true })
  .map(String)
  .filter(name => name.endsWith('.md'))
const PAGES = [...TOP, ...DOCS.map(name => `docs/${name}`)]
const DECISIONS = readdirSync(join(ROOT, 'contrib/decisions')).map(name => `contrib/decisions/${name}`)
const RUN = ['sh', 'console']
const NOT_RUN = ['', 'text']

const textOf = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
const code = PAGES.flatMap(page => codeOf(textOf(page)))

test('the pages that are made from the code are as the code is (npm run docs makes them anew)', async () => {
  for (const [path, text] of Object.entries(await pages()))
    expect(await readFile(join(ROOT, path), 'utf8'), path).toBe(text)
})

test('the README has 200 lines at most', () => {
  expect(textOf('README.md').split('\n').length).toBeLessThanOrEqual(201)
})

for (const page of [...PAGES, ...DECISIONS])
  test(`every link of ${page} leads somewhere`, async () => {
    for (const { target, line } of linksOf(textOf(page))) {
      if (/^https?:/.test(target)) continue
      const [path = '', anchor] = target.split('#')
      const file = path === '' ? page : join(dirname(page), path)
      await expect(access(join(ROOT, file)), `${page}:${line}: ${target}`).resolves.toBeUndefined()
      if (anchor !== undefined) expect(anchorsOf(textOf(file)), `${page}:${line}: ${target}`).toContain(anchor)
    }
  })

for (const page of [...PAGES, ...DECISIONS].filter(page => page !== 'CHANGELOG.md'))
  test(`every path in the code of ${page} exists`, () => {
    for (const path of pathsOf(textOf(page))) expect(globSync(path, { cwd: ROOT }), `${page}: ${path}`).not.toEqual([])
  })

test('every page of docs/ is linked from the README', () => {
  const linked = new Set(linksOf(textOf('README.md')).map(({ target }) => target))
  expect(DOCS.filter(name => !linked.has(`docs/${name}`))).toEqual([])
})

test('every block of a page has a language that says whether it is run', () => {
  for (const page of PAGES)
    for (const { language, line } of blocksOf(textOf(page)))
      expect([...RUN, ...NOT_RUN], `${page}:${line}`).toContain(language)
})

test('every setting is told of, and no other', async () => {
  const known = new Set((await settingsTables()).flatMap(({ rows }) => rows.map(({ env }) => env)))
  const told = new Set(code.flatMap(text => text.match(/\b(?:SHADOW|OTEL)_[A-Z0-9_]+[A-Z0-9]\b/g) ?? []))
  expect([...known].filter(name => !told.has(name))).toEqual([])
  const inContainers = ['SHADOW_SOCKET']
  expect([...told].filter(name => !known.has(name) && !inContainers.includes(name))).toEqual([])
})

test('every error code is told of', () => {
  const told = new Set(code)
  expect(Object.keys(failures).filter(name => !told.has(name))).toEqual([])
})

test('every command of the CLI is told of, and no other', () => {
  const told = new Set(
    code.flatMap(text => [...text.matchAll(/(?:^|\s)(?:bin\/)?shadow ([a-z]+(?:-[a-z]+)*)/gm)].map(([, verb]) => verb)),
  )
  expect(Object.keys(verbs).filter(verb => !told.has(verb))).toEqual([])
  expect([...told].filter(verb => verb !== undefined && !Object.hasOwn(verbs, verb))).toEqual([])
})

test('every script of npm and target of make that is told of is there', () => {
  const makefile = textOf('Makefile')
  for (const page of PAGES) {
    const text = textOf(page)
    for (const [, script = ''] of text.matchAll(/\bnpm run (?:--silent )?([a-z:-]+)/g))
      expect(Object.keys(packageJson.scripts), page).toContain(script)
    // `make` at the start of a line in a code block, or at the start of inline code.
    for (const [, target] of text.matchAll(/(?:^(?: {4})?|`)make ([a-z-]+)(?=`|$| +#| [A-Z]+=)/gm))
      expect(makefile, page).toMatch(new RegExp(`^${target}:`, 'm'))
  }
})

test('links, anchors and blocks are found as they are written', () => {
  const page =
    '# A `b` (c)\n\n[x](y.md#z) and `[no](link)`\n\n<!-- not run: why -->\n```sh\na\n\nb\n```\n```console\n$ c\n```\n## A b c\n'
  expect([...anchorsOf(page)]).toEqual(['a-b-c', 'a-b-c-1'])
  expect(linksOf(page)).toEqual([{ target: 'y.md#z', line: 3 }])
  expect(blocksOf(page)).toEqual([
    { language: 'sh', text: 'a\n\nb', line: 7, notRun: 'why' },
    { language: 'console', text: '$ c', line: 12, notRun: undefined },
  ])
  expect(codeOf(page)).toEqual(['b', '[no](link)', 'a\n\nb', '$ c'])
  expect(pathsOf('`src/lib/a.ts`, `cd /opt/src/b`, `master/c`\n```sh\nbench/d/*.ts.\n```')).toEqual([
    'src/lib/a.ts',
    'src/master/c',
    'bench/d/*.ts',
  ])
})
