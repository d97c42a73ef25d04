// Makes the npm package @shadow/sdk: ESM, types that stand alone, and what npm needs.
//
//   node contrib/package/sdk/build.ts [FOLDER]
//
// FOLDER: left out, dist/sdk. What it has is replaced.
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { rolldown } from 'rolldown'

const root = join(import.meta.dirname, '../../..')
const folder = resolve(process.argv[2] ?? join(root, 'dist/sdk'))
/** The entries of the package, by the names of their files. */
const ENTRIES = { index: 'main', react: 'react' } as const

const { version, license } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
await rm(folder, { recursive: true, force: true })
await mkdir(folder, { recursive: true })
await Promise.all([bundle(), declare(), describe()])

async function bundle(): Promise<void> {
  await using build = await rolldown({
    input: Object.fromEntries(Object.entries(ENTRIES).map(([name, source]) => [name, `${root}/src/sdk/${source}.ts`])),
    platform: 'neutral',
    external: ['react'],
    // `using` and the like are compiled for browsers and for Node 20.
    transform: { target: 'es2022' },
  })
  await build.write({ dir: folder, format: 'esm', chunkFileNames: 'shared.js' })
}

/** Writes the types of the entries, and of all that they name, into one folder without another import. */
async function declare(): Promise<void> {
  const made = await mkdtemp(join(tmpdir(), 'shadow-sdk-types-'))
  try {
    await promisify(execFile)(join(root, 'node_modules/.bin/tsc'), ['-p', join(root, 'src/sdk'), '--outDir', made])
    const names = new Map<string, string>(
      Object.entries(ENTRIES).map(([name, source]) => [join(made, 'sdk', source), name]),
    )
    // The list grows while it is read: each file names others.
    const nameOf = (path: string): string => {
      const name = names.get(path) ?? basename(path)
      names.set(path, name)
      return name
    }
    for (const [path, name] of names) {
      const text = await readFile(`${path}.d.ts`, 'utf8')
      const here = text.replace(/(from ')(\.[^']+)\.ts(')/g, (_, before, from, after) => {
        return `${before}./${nameOf(join(dirname(path), from))}.js${after}`
      })
      // A program that targets an older library than this has no `Disposable`.
      const head = name === 'index' ? '/// <reference lib="esnext.disposable" />\n' : ''
      await mkdir(join(folder, 'types'), { recursive: true })
      await writeFile(join(folder, 'types', `${name}.d.ts`), head + here)
    }
  } finally {
    await rm(made, { recursive: true })
  }
}

async function describe(): Promise<void> {
  const entry = (name: keyof typeof ENTRIES) => ({ types: `./types/${name}.d.ts`, default: `./${name}.js` })
  const description = {
    name: '@shadow/sdk',
    version,
    description: 'Client for the sessions and sandboxes of Shadow, without dependencies, for Node and browsers',
    license,
    type: 'module',
    sideEffects: false,
    engines: { node: '>=20' },
    main: './index.js',
    types: './types/index.d.ts',
    exports: { '.': entry('index'), './react': entry('react'), './package.json': './package.json' },
    files: ['*.js', 'types'],
    peerDependencies: { react: '>=16.8' },
    peerDependenciesMeta: { react: { optional: true } },
  }
  await writeFile(join(folder, 'package.json'), `${JSON.stringify(description, undefined, 2)}\n`)
  await cp(join(root, 'LICENSE'), join(folder, 'LICENSE'))
  await cp(join(import.meta.dirname, 'README.md'), join(folder, 'README.md'))
}
