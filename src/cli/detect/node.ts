import type { Folder } from './folder.ts'
import { BASES, type Recipe } from './recipe.ts'

type Package = {
  readonly main?: unknown
  readonly scripts?: Readonly<Record<string, unknown>>
  readonly dependencies?: Readonly<Record<string, unknown>>
}

const USUAL_FILES = ['server.js', 'server.mjs', 'index.js', 'index.mjs', 'app.js', 'app.mjs', 'main.js']
/** By lock file: what installs exactly what it names. */
const MANAGERS = [
  { lock: 'package-lock.json', install: 'npm ci --omit=dev', all: 'npm ci', run: 'npm run' },
  {
    lock: 'pnpm-lock.yaml',
    install: 'corepack enable && pnpm install --frozen-lockfile --prod',
    all: 'corepack enable && pnpm install --frozen-lockfile',
    run: 'pnpm run',
  },
  {
    lock: 'yarn.lock',
    install: 'corepack enable && yarn install --frozen-lockfile --production',
    all: 'corepack enable && yarn install --frozen-lockfile',
    run: 'yarn run',
  },
] as const
const WITHOUT_LOCK = { lock: undefined, install: 'npm install --omit=dev', all: 'npm install', run: 'npm run' } as const

/** A folder with a package.json, or with a script that Node runs. */
export function nodeRecipe(folder: Folder): Recipe | undefined {
  const text = folder.read('package.json')
  const file = USUAL_FILES.find(name => folder.has(name))
  if (text === undefined) {
    if (file === undefined) return undefined
    return { language: 'node', why: file, base: BASES.node, command: `node ${file}`, notes: [] }
  }
  const found = parsed(text)
  const manager = MANAGERS.find(({ lock }) => folder.has(lock)) ?? WITHOUT_LOCK
  const start = startOf(found, file, manager.run)
  if (start === undefined) return undefined
  const dependencies = Object.keys(found.dependencies ?? {}).length > 0
  const builds = typeof found.scripts?.['build'] === 'string'
  const files = [
    'package.json',
    ...(manager.lock === undefined ? [] : [manager.lock]),
    ...['.npmrc', '.yarnrc.yml', 'pnpm-workspace.yaml'].filter(name => folder.has(name)),
  ]
  return {
    language: 'node',
    why: `package.json with ${start.why}`,
    base: BASES.node,
    command: start.command,
    prepare: ['ENV NODE_ENV=production'],
    ...(dependencies && {
      dependencies: { files, install: manager.install, at: '/opt/srv' },
      link: { name: 'node_modules', to: '/opt/srv/node_modules' },
    }),
    ...(builds && {
      build: {
        why: 'package.json has the script build',
        lines: [
          `COPY ${files.join(' ')} ./`,
          `RUN NODE_ENV=development && ${manager.all}`,
          'COPY . .',
          `RUN ${manager.run} build`,
        ],
      },
    }),
    notes:
      dependencies && manager.lock === undefined
        ? ['there is no lock file, so two builds may get different versions']
        : [],
  }
}

function startOf(found: Package, file: string | undefined, run: string): { command: string; why: string } | undefined {
  const script = found.scripts?.['start']
  // Without a package manager between, signals reach the process at once, and it starts faster.
  if (typeof script === 'string') {
    const isPlain = /^node( +[\w./=-]+)+$/.test(script.trim())
    return { command: isPlain ? script.trim() : `${run} start`, why: `the script start: ${script.trim()}` }
  }
  if (typeof found.main === 'string') return { command: `node ${found.main}`, why: `main: ${found.main}` }
  return file === undefined ? undefined : { command: `node ${file}`, why: file }
}

function parsed(text: string): Package {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {} // npm will say what is wrong with it, at the place where it is
  }
}
