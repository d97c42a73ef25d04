import assert from 'node:assert/strict'
import { test } from 'vitest'
import { dockerfileOf, dockerfileOfDependencies, isMounted, recipeOf } from './detect.ts'
import type { Folder } from './folder.ts'

/** A folder that has these files with these texts. */
const folderOf = (files: Readonly<Record<string, string>>): Folder => ({
  has: path => Object.keys(files).some(name => name === path || name.startsWith(`${path}/`)),
  read: path => files[path],
  names: (path = '.') => [
    ...new Set(
      Object.keys(files)
        .map(name => (path === '.' ? name : name.startsWith(`${path}/`) ? name.slice(path.length + 1) : ''))
        .filter(Boolean)
        .map(name => name.split('/')[0] ?? ''),
    ),
  ],
})

const express = JSON.stringify({ scripts: { start: 'node server.js' }, dependencies: { express: '5' } })
const built = JSON.stringify({ scripts: { start: 'next start', build: 'next build' }, dependencies: { next: '16' } })

for (const [what, files, language, command, mounted] of [
  [
    'a Node app with a script start',
    { 'package.json': express, 'package-lock.json': '' },
    'node',
    'node server.js',
    true,
  ],
  ['a Node app that is built', { 'package.json': built, 'yarn.lock': '' }, 'node', 'yarn run start', false],
  ['a Node app by main', { 'package.json': '{"main":"x.js"}' }, 'node', 'node x.js', true],
  ['a script for Node alone', { 'server.mjs': '' }, 'node', 'node server.mjs', true],
  [
    'a Flask app',
    { 'app.py': '', 'requirements.txt': 'Flask==3\n' },
    'python',
    'flask --app app run --host 0.0.0.0 --port $PORT',
    true,
  ],
  [
    'a Flask app with gunicorn',
    { 'app.py': '', 'requirements.txt': 'flask\ngunicorn\n' },
    'python',
    'gunicorn --bind 0.0.0.0:$PORT app:app',
    true,
  ],
  [
    'a FastAPI app',
    { 'main.py': '', 'requirements.txt': 'fastapi\nuvicorn[standard]\n' },
    'python',
    'uvicorn main:app --host 0.0.0.0 --port $PORT',
    true,
  ],
  [
    'a Django project',
    { 'manage.py': '', 'site/wsgi.py': '', 'requirements.txt': 'django\ngunicorn' },
    'python',
    'gunicorn --bind 0.0.0.0:$PORT site.wsgi',
    true,
  ],
  [
    'a Python project that is installed',
    { 'main.py': '', 'pyproject.toml': '[project]' },
    'python',
    'python main.py',
    false,
  ],
  [
    'requirements of several files',
    { 'main.py': '', 'requirements.txt': '-r base.txt\n' },
    'python',
    'python main.py',
    false,
  ],
  ['a Go program', { 'go.mod': '', 'main.go': 'package main\n' }, 'go', '/bin/server', false],
  ['a PHP site', { 'index.php': '' }, 'php', 'apache2-foreground', true],
  [
    'a PHP project with Composer',
    { 'composer.json': '{}', 'public/index.php': '' },
    'php',
    'apache2-foreground',
    false,
  ],
  ['a static site', { 'index.html': '' }, 'static', 'caddy file-server --root /srv --listen :$PORT', true],
  [
    'a Procfile beside it',
    { 'app.py': '', Procfile: 'worker: x\nweb: python app.py --port $PORT\n' },
    'python',
    'python app.py --port $PORT',
    true,
  ],
] as const)
  test(`${what} is found, and ${mounted ? 'mounted' : 'built'}`, () => {
    const recipe = recipeOf(folderOf(files as Record<string, string>))
    assert.ok(recipe)
    assert.deepEqual([recipe.language, recipe.command, isMounted(recipe, {})], [language, command, mounted])
  })

test('a folder with nothing that is known is not guessed at', () => {
  assert.equal(recipeOf(folderOf({ 'README.md': '' })), undefined)
  assert.equal(recipeOf(folderOf({ 'package.json': '{}' })), undefined) // a library, which nothing starts
})

test('the dependencies of a mounted source are installed from the files that name them alone', () => {
  const recipe = recipeOf(folderOf({ 'package.json': express, 'package-lock.json': '' }))
  assert.ok(recipe)
  assert.equal(
    dockerfileOfDependencies(recipe, { base: 'my/node' }),
    'FROM my/node\nENV NODE_ENV=production\nWORKDIR /opt/srv\nCOPY package.json package-lock.json ./\nRUN npm ci --omit=dev\nWORKDIR /srv\n',
  )
  assert.deepEqual(recipe.link, { name: 'node_modules', to: '/opt/srv/node_modules' })
})

test('a source without dependencies needs no build', () => {
  for (const files of [{ 'index.html': '' }, { 'main.py': '' }, { 'server.js': '' }]) {
    const recipe = recipeOf(folderOf(files as unknown as Record<string, string>))
    assert.ok(recipe)
    assert.equal(dockerfileOfDependencies(recipe, {}), undefined)
  }
})

test('a whole Dockerfile copies the files that name the dependencies first, so that they are installed once', () => {
  const node = recipeOf(folderOf({ 'package.json': built, 'package-lock.json': '' }))
  const go = recipeOf(folderOf({ 'go.mod': '', 'cmd/web/main.go': '' }))
  assert.ok(node && go)
  assert.equal(
    dockerfileOf(node, {}),
    `FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /srv
COPY package.json package-lock.json ./
RUN NODE_ENV=development && npm ci
COPY . .
RUN npm run build
CMD ["npm","run","start"]
`,
  )
  assert.match(
    dockerfileOf(go, { base: 'my/go' }),
    /^FROM my\/go AS build\n[\s\S]*go build -o \/bin\/server \.\/cmd\/web\n\nFROM gcr/,
  )
  assert.match(dockerfileOf(node, { command: 'make' }), /COPY \. \.\nRUN make\nCMD/)
})
