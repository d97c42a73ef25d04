// npm run docs: the pages of docs/ that are made from the code.
import { writeFile } from 'node:fs/promises'
import { pages } from './docs/pages.ts'

for (const [path, text] of Object.entries(await pages())) await writeFile(`${import.meta.dirname}/../${path}`, text)
