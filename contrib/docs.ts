// npm run docs: the tables of the README, made from the code.
import { readFile, writeFile } from 'node:fs/promises'
import { withTables } from '../src/cli/docs.ts'

const file = `${import.meta.dirname}/../README.md`
await writeFile(file, await withTables(await readFile(file, 'utf8')))
