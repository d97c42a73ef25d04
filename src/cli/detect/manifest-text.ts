import type { Recipe } from './recipe.ts'

/** What is packed of a folder without an ignore file of its own, and what `shadow init --dockerfile` writes: all but these. */
export const USUALLY_IGNORED = [
  '.git',
  '.DS_Store',
  '.env',
  '.env.*',
  '.venv',
  'venv',
  '__pycache__',
  '*.pyc',
  'node_modules',
  'npm-debug.log*',
] as const

type Said = { readonly app: string; readonly schema: string; readonly from: readonly string[]; readonly why: string }

/** The text of a new shadow.toml. */
export const manifestText = ({ app, schema, from, why }: Said): string => `#:schema ${schema}
# shadow deploy reads this file. A field that is not here has its default.

app = "${app}"
# domains = ["${app}.example.com"]

# ${why}
${from.join('\n')}

# Block storage that outlives every deploy:
# [volume]
# size = "1GiB"
# path = "/data"

[sleep]
idleAfter = "5m"

# No place for secrets: this file is kept with the code.
[env]
`

/** The lines that say where the code comes from. */
export function fromLines(
  recipe: Recipe | undefined,
  { dockerfile, image }: { dockerfile?: string; image?: string },
): string[] {
  if (image !== undefined) return [`image = ${JSON.stringify(image)}`]
  if (dockerfile !== undefined) return [`dockerfile = ${JSON.stringify(dockerfile)}`]
  return ['source = "."', ...(recipe === undefined ? [] : [`# command = ${JSON.stringify(recipe.command)}`])]
}
