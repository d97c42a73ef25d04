import { defineConfig } from 'rolldown'
import packageJson from './package.json' with { type: 'json' }

// These are small, and needed at every start of the CLI. Other packages are not bundled: the code that needs them loads them,
// and the large ones (Docker, AWS) have native or generated parts that do not bundle.
const BUNDLED = ['commander', 'lowdb']

const external = Object.keys(packageJson.dependencies).filter(name => !BUNDLED.includes(name))

export default defineConfig({
  input: {
    shadow: 'src/cli/main.ts',
    // Each thread starts from its own file: see entryOf.
    'front-worker': 'src/proxy/worker.ts',
    'node-worker': 'src/nodeproxy/worker.ts',
    'history-worker': 'src/nodeproxy/history/thread.ts',
    'lease-guard': 'src/nodeproxy/leases/guard/process.ts',
  },
  platform: 'node',
  external: id => external.some(name => id === name || id.startsWith(`${name}/`)),
  output: { dir: 'dist', format: 'esm', cleanDir: true, minify: true, chunkFileNames: 'chunks/[name]-[hash].js' },
})
