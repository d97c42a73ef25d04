import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, test } from 'vitest'
import { BASES } from '../../src/cli/detect/recipe.ts'
import { run } from '../../src/cli/run.ts'
import { FakeTerminal } from '../../src/testing/fake-terminal.ts'
import { emptyImage, has, makesPhp, phpImage, standIn } from '../tools/base-images.ts'
import { bridgedDocker } from '../tools/bridged-docker.ts'
import { TEST_FOLDER_PREFIX } from '../tools/environment.ts'
import type { OwnDocker } from '../tools/own-docker.ts'
import { Shadow } from '../tools/shadow.ts'

// Folders without a Dockerfile, as a person has them, from init to an answer. Dependencies come from PyPI and from the module proxy of Go. The
// base images have the names of the official ones, so they are made on a Docker of their own.
const BUILD_MS = 300_000
const isThere = { python: await has('python'), go: await has('go'), caddy: await has('caddy'), php: await makesPhp() }
const stack = new AsyncDisposableStack()
let docker: OwnDocker
let shadow: Shadow
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), TEST_FOLDER_PREFIX))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  docker = await bridgedDocker(stack)
  shadow = stack.use(await Shadow.start({ env: { SHADOW_BUILD_NETWORK: 'host', SHADOW_DOCKER_SOCKET: docker.socket } }))
})
afterAll(() => stack.disposeAsync())

async function cli(...words: string[]): Promise<{ exit: number; out: string; err: string }> {
  const env = { SHADOW_URL: shadow.up.masterUrl, SHADOW_TOKEN: shadow.up.adminToken, SHADOW_DATA: folder }
  const terminal = new FakeTerminal({ env })
  const exit = await run(words, terminal)
  return { exit, out: terminal.stdout, err: terminal.stderr }
}

/** Makes a folder of these files, lets init find what it is, and deploys it. Returns what was said. */
async function deployed(app: string, files: Readonly<Record<string, string>>): Promise<string> {
  const at = join(folder, app)
  await write(at, files)
  const found = await cli('init', at)
  assert.equal(found.exit, 0, found.err)
  return found.err + (await again(app))
}

async function again(app: string, files: Readonly<Record<string, string>> = {}): Promise<string> {
  await write(join(folder, app), files)
  const { exit, err } = await cli('deploy', join(folder, app), '--wait')
  assert.equal(exit, 0, err)
  return err
}

async function write(at: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(at, name)), { recursive: true })
    await writeFile(join(at, name), text)
  }
}

const flask = (greeting: string): string =>
  `from flask import Flask\napp = Flask(__name__)\n\n@app.get("/")\ndef home():\n    return "${greeting}\\n"\n`

test.skipIf(!isThere.python)(
  'a Flask app with gunicorn gets its requirements from PyPI once, and a change of its source builds nothing',
  async () => {
    await standIn(docker, 'python', BASES.python)
    const said = await deployed('flask', { 'app.py': flask('one'), 'requirements.txt': 'flask\ngunicorn\n' })
    assert.match(said, /^found: python: requirements\.txt, app\.py, gunicorn\n/)
    assert.match(said, /RUN pip install --no-cache-dir -r requirements.txt[\s\S]*Successfully installed [\s\S]*Flask-/i)
    assert.equal((await shadow.ask('flask')).text, 'one\n')
    const next = await again('flask', { 'app.py': flask('two') })
    assert.match(next, /RUN pip install --no-cache-dir -r requirements\.txt \(cached\)/)
    assert.equal((await shadow.ask('flask')).text, 'two\n')
  },
  BUILD_MS,
)

test.skipIf(!isThere.python)(
  'a Python project that is installed with its source is built into its image',
  async () => {
    await standIn(docker, 'python', BASES.python)
    const project =
      '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n[project]\nname = "hello"\nversion = "1"\ndependencies = ["bottle"]\n[tool.setuptools]\npy-modules = ["hello"]\n'
    const main =
      'import os\nfrom bottle import route, run\nfrom hello import WORD\n\n@route("/")\ndef home():\n    return WORD\n\nrun(host="0.0.0.0", port=int(os.environ["PORT"]))\n'
    const said = await deployed('project', {
      'pyproject.toml': project,
      'hello.py': 'WORD = "installed\\n"\n',
      'main.py': main,
    })
    assert.match(said, /^found: python: pyproject\.toml, main\.py\n/)
    assert.equal((await shadow.ask('project')).text, 'installed\n')
  },
  BUILD_MS,
)

const hello = `package main

import (
	"fmt"
	"net/http"
	"os"

	"github.com/google/uuid"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "go", uuid.MustParse("6ba7b810-9dad-11d1-80b4-00c04fd430c8").Version())
	})
	http.ListenAndServe(":"+os.Getenv("PORT"), nil)
}
`

test.skipIf(!isThere.go)(
  'a Go program with a module is compiled, and runs in an image without a shell',
  async () => {
    await standIn(docker, 'go', BASES.go)
    await emptyImage(docker, 'gcr.io/distroless/static-debian12')
    const at = join(folder, 'gopher')
    await write(at, { 'main.go': hello, 'go.mod': 'module example.com/gopher\n\ngo 1.23\n' })
    await promisify(execFile)('go', ['get', 'github.com/google/uuid@v1.6.0'], { cwd: at })
    const said = await deployed('gopher', {})
    assert.match(said, /^found: go: go\.mod, the main package at the top\n/)
    assert.match(said, /go build -o \/bin\/server \./)
    assert.equal((await shadow.ask('gopher')).text, 'go VERSION_1\n')
    assert.match(await readFile(join(at, 'go.sum'), 'utf8'), /google\/uuid v1\.6\.0/)
  },
  BUILD_MS,
)

test.skipIf(!isThere.caddy)('a static site is served from its folder', async () => {
  await standIn(docker, 'caddy', BASES.static)
  const said = await deployed('page', { 'public/index.html': '<p>one\n', 'public/style.css': 'p {}\n' })
  assert.match(said, /^found: static: public\/index\.html\n/)
  assert.equal((await shadow.ask('page')).text, '<p>one\n')
  assert.equal((await shadow.ask('page', '/style.css')).headers['content-type'], 'text/css; charset=utf-8')
  await again('page', { 'public/index.html': '<p>two\n' })
  assert.equal((await shadow.ask('page')).text, '<p>two\n')
})

test.skipIf(!isThere.php)(
  'a PHP site is served by Apache from its folder, with its .htaccess',
  async () => {
    await phpImage(docker, BASES.php)
    const said = await deployed('php', {
      'index.php': '<?php echo "php ", $_GET["page"] ?? "home", "\\n";',
      '.htaccess': 'RewriteEngine On\nRewriteRule ^about$ index.php?page=about [L]\n',
    })
    assert.match(said, /^found: php: index\.php\n/)
    assert.equal((await shadow.ask('php')).text, 'php home\n')
    assert.equal((await shadow.ask('php', '/about')).text, 'php about\n')
  },
  BUILD_MS,
)
