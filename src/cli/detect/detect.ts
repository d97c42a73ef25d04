import { commandOf } from '../manifest/normalise.ts'
import type { Folder } from './folder.ts'
import { nodeRecipe } from './node.ts'
import { pythonRecipe } from './python.ts'
import { BASES, type Recipe } from './recipe.ts'

/** How the source in the folder is run; undefined if nothing is known that it could be. The first that fits is taken, in this order. */
export function recipeOf(folder: Folder): Recipe | undefined {
  const found =
    goRecipe(folder) ?? phpRecipe(folder) ?? nodeRecipe(folder) ?? pythonRecipe(folder) ?? staticRecipe(folder)
  const web = webOfProcfile(folder.read('Procfile'))
  if (found === undefined || web === undefined) return found
  return { ...found, command: web, why: `${found.why}; the command is from Procfile` }
}

/** The command of `web:` in a Procfile. */
export const webOfProcfile = (text: string | undefined): string | undefined =>
  /^web:[ \t]*(\S.*?)\s*$/m.exec(text ?? '')?.[1]

function goRecipe(folder: Folder): Recipe | undefined {
  if (!folder.has('go.mod')) return undefined
  const commands = folder.names('cmd').filter(name => folder.has(`cmd/${name}/main.go`))
  const isAtTop = folder.names().some(name => name.endsWith('.go') && /^package main\b/m.test(folder.read(name) ?? ''))
  const what = isAtTop || commands.length === 0 ? '.' : `./cmd/${commands[0]}`
  return {
    language: 'go',
    why: `go.mod, ${what === '.' ? 'the main package at the top' : what}`,
    base: BASES.go,
    command: '/bin/server',
    build: {
      why: 'Go is compiled',
      lines: ['COPY . .', `RUN CGO_ENABLED=0 go build -o /bin/server ${what}`],
    },
    result: {
      base: 'gcr.io/distroless/static-debian12',
      lines: ['COPY --from=build /bin/server /bin/server', 'COPY --from=build /srv /srv'],
    },
    notes: commands.length > 1 ? [`there are several commands (${commands.join(', ')}); the first one is built`] : [],
  }
}

function phpRecipe(folder: Folder): Recipe | undefined {
  const isComposed = folder.has('composer.json')
  const root = folder.has('public/index.php') ? '/srv/public' : folder.has('index.php') ? '/srv' : undefined
  if (root === undefined) return undefined
  const lines = [
    'COPY --from=composer:2 /usr/bin/composer /usr/local/bin/composer',
    'COPY . .',
    'RUN composer install --no-dev --no-interaction --optimize-autoloader',
  ]
  return {
    language: 'php',
    why: `${isComposed ? 'composer.json, ' : ''}${root === '/srv' ? 'index.php' : 'public/index.php'}`,
    base: BASES.php,
    command: 'apache2-foreground',
    prepare: [
      'RUN a2enmod rewrite \\',
      ` && printf '<Directory /srv>\\n  AllowOverride All\\n  Require all granted\\n</Directory>\\n' > /etc/apache2/conf-enabled/srv.conf \\`,
      // biome-ignore lint/suspicious/noTemplateCurlyInString: Apache reads it
      " && sed -i 's/^Listen 80$/Listen ${PORT}/' /etc/apache2/ports.conf \\",
      ` && sed -i 's!:80>!:\${PORT}>!; s!/var/www/html!${root}!' /etc/apache2/sites-available/000-default.conf`,
    ],
    ...(isComposed && { build: { why: 'Composer installs into the folder', lines } }),
    notes: [],
  }
}

function staticRecipe(folder: Folder): Recipe | undefined {
  const root = folder.has('index.html') ? '/srv' : folder.has('public/index.html') ? '/srv/public' : undefined
  if (root === undefined) return undefined
  return {
    language: 'static',
    why: root === '/srv' ? 'index.html' : 'public/index.html',
    base: BASES.static,
    command: `caddy file-server --root ${root} --listen :$PORT`,
    notes: [],
  }
}

export type Forms = { readonly base?: string | undefined; readonly command?: string | undefined }

/** Whether the source can be mounted at /srv, and so change without a build. */
export const isMounted = (recipe: Recipe, { command }: Forms): boolean =>
  recipe.build === undefined && command === undefined

/** The Dockerfile of what a mounted source needs: its dependencies. Undefined if it needs nothing but its base. */
export function dockerfileOfDependencies(
  { base: usual, prepare = [], dependencies }: Recipe,
  { base }: Forms,
): string | undefined {
  if (dependencies === undefined && prepare.every(line => line.startsWith('ENV '))) return undefined
  return text([`FROM ${base ?? usual}`, ...prepare, ...installing(dependencies), 'WORKDIR /srv'])
}

/** A whole Dockerfile, which a person can keep and change. */
export function dockerfileOf(recipe: Recipe, { base, command }: Forms): string {
  const { prepare = [], dependencies, build, result } = recipe
  const from = base ?? recipe.base
  const words = JSON.stringify(commandOf(recipe.command))
  const making =
    command !== undefined
      ? ['COPY . .', `RUN ${command}`]
      : build !== undefined
        ? build.lines
        : dependencies !== undefined
          ? [`COPY ${dependencies.files.join(' ')} ./`, `RUN ${dependencies.install}`, 'COPY . .']
          : ['COPY . .']
  const lines = [`FROM ${from}${result === undefined ? '' : ' AS build'}`, ...prepare, 'WORKDIR /srv', ...making]
  if (result !== undefined) lines.push('', `FROM ${result.base}`, 'WORKDIR /srv', ...result.lines)
  return text([...lines, `CMD ${words}`])
}

const installing = (dependencies: Recipe['dependencies']): readonly string[] =>
  dependencies === undefined
    ? []
    : [`WORKDIR ${dependencies.at}`, `COPY ${dependencies.files.join(' ')} ./`, `RUN ${dependencies.install}`]

const text = (lines: readonly string[]): string => `${lines.join('\n')}\n`
