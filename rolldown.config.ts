import { defineConfig } from 'rolldown'
import packageJson from './package.json' with { type: 'json' }

// Small and needed at every start of the CLI. All else stays a package of its own: it is loaded by those who need it,
// and the big ones (Docker, AWS) have native or generated parts that do not bundle.
const BUNDLED = ['commander', 'lowdb']

const external = Object.keys(packageJson.dependencies).filter(name => !BUNDLED.includes(name))

export default defineConfig({
  input: {
    shadow: 'src/cli/main.ts',
    // Threads are started from a file of their own: see entryOf.
    'front-worker': 'src/proxy/worker.ts',
    'node-worker': 'src/nodeproxy/worker.ts',
  },
  platform: 'node',
  external: id => external.some(name => id === name || id.startsWith(`${name}/`)),
  output: { dir: 'dist', format: 'esm', cleanDir: true, minify: true, chunkFileNames: 'chunks/[name]-[hash].js' },
})
