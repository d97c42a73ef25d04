import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, gzip } from 'node:zlib'
import { defineConfig, type Plugin } from 'vite'

const outDir = join(import.meta.dirname, '../../dist/dashboard')
const COMPRESSED = /\.(html|js|css|svg|json|webmanifest)$/

/** Writes a `.br` and a `.gz` beside each file, so that the master compresses nothing. */
const precompressed = (): Plugin => ({
  name: 'precompressed',
  async writeBundle() {
    const entries = await readdir(outDir, { recursive: true, withFileTypes: true })
    const files = entries.filter(entry => entry.isFile() && COMPRESSED.test(entry.name))
    await Promise.all(
      files.map(async ({ parentPath, name }) => {
        const path = join(parentPath, name)
        const bytes = await readFile(path)
        await writeFile(`${path}.br`, await promisify(brotliCompress)(bytes))
        await writeFile(`${path}.gz`, await promisify(gzip)(bytes, { level: 9 }))
      }),
    )
  },
})

export default defineConfig({
  root: import.meta.dirname,
  base: '/',
  publicDir: false,
  plugins: [precompressed()],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir,
    emptyOutDir: true,
    target: 'es2023',
    // The policy of the page admits files only, no data: URLs of scripts or styles.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      input: Object.fromEntries(['index', 'terminal'].map(name => [name, join(import.meta.dirname, `${name}.html`)])),
    },
  },
})
