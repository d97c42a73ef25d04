import { mkdir, stat, writeFile } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import type { Command } from 'commander'
import { ShadowError, systemCode } from '../../lib/errors.ts'
import { appName } from '../../model/names.ts'
import { withExamples } from '../command-options.ts'
import { dockerfileOf, recipeOf } from '../detect/detect.ts'
import { folderAt } from '../detect/folder.ts'
import { fromLines, manifestText, USUALLY_IGNORED } from '../detect/manifest-text.ts'
import type { Recipe } from '../detect/recipe.ts'
import { MANIFEST, nameOfFolder } from '../manifest/manifest.ts'
import { schemaUrl } from '../target.ts'
import type { Terminal } from '../terminal.ts'

type Flags = { readonly app?: string; readonly image?: string; readonly dockerfile?: true; readonly force?: true }

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('[folder]', 'the folder of the app; left out: this one')
    .option('--app <name>', 'the name of the app; left out: the name of the folder')
    .option('--image <image>', 'run this image; the folder is not looked at')
    .option('--dockerfile', 'write a Dockerfile too, to keep and change, and a .dockerignore')
    .option('--force', 'write over files that are there')
    .action(async (given: string | undefined, flags: Flags) => {
      const folder = resolve(given ?? '.')
      const app = appName(flags.app ?? nameOfFolder(folder))
      const schema = await schemaUrl(terminal)
      const { recipe, ...from } = await whatIs(folder, flags)
      const files = filesOf({ app, schema, recipe, from, flags })
      if (flags.force !== true) await mustBeNew(folder, Object.keys(files))
      await mkdir(folder, { recursive: true })
      for (const [name, text] of Object.entries(files)) {
        await writeFile(join(folder, name), text)
        terminal.out(`${join(relative('.', folder), name)}\n`)
      }
      terminal.err(`found: ${from.why}\n`)
      for (const note of recipe?.notes ?? []) terminal.err(`note: ${note}\n`)
      terminal.err(`hint: look at ${MANIFEST}, then: shadow deploy${given === undefined ? '' : ` ${given}`}\n`)
    })
  withExamples(command, 'shadow init', 'shadow init blog --dockerfile', 'shadow init --image ghost:6 --app blog')
}

type Found = { readonly recipe?: Recipe; readonly why: string; readonly dockerfile?: string; readonly image?: string }

/** What the folder is. Fails with `bad-input`, with all that was looked for. */
async function whatIs(root: string, { image, dockerfile }: Flags): Promise<Found> {
  if (image !== undefined) return { image, why: `the image ${image} was given` }
  const folder = folderAt(root)
  if (folder.has('Dockerfile') && dockerfile !== true)
    return { dockerfile: 'Dockerfile', why: 'a Dockerfile, from which the image is built' }
  const recipe = recipeOf(folder)
  if (recipe === undefined)
    throw new ShadowError('bad-input', `nothing that is known was found in ${root}`, {
      hint: 'it looks for a Dockerfile, go.mod, index.php, package.json, server.js, requirements.txt, pyproject.toml, manage.py, app.py, main.py, index.html; or: shadow init --image IMAGE',
    })
  const what = `${recipe.language}: ${recipe.why}`
  return { recipe, why: what, ...(dockerfile === true && { dockerfile: 'Dockerfile' }) }
}

type Parts = { app: string; schema: string; recipe: Recipe | undefined; from: Omit<Found, 'recipe'>; flags: Flags }

function filesOf({ app, schema, recipe, from, flags }: Parts): Record<string, string> {
  return {
    [MANIFEST]: manifestText({ app, schema, from: fromLines(recipe, from), why: from.why }),
    ...(flags.dockerfile === true &&
      recipe !== undefined && {
        Dockerfile: dockerfileOf(recipe, {}),
        '.dockerignore': `${USUALLY_IGNORED.join('\n')}\n`,
      }),
  }
}

async function mustBeNew(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const found = await stat(join(folder, name)).catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') return undefined
      throw error
    })
    if (found !== undefined)
      throw new ShadowError('already-exists', `${join(folder, name)} is there; nothing was written`, {
        hint: 'shadow init --force writes over it',
      })
  }
}
