import { manifestJsonSchema } from '../../src/api/manifest-json-schema.ts'
import { errorsTable, sayNone, settingsTables } from '../../src/cli/docs.ts'
import { apiPage } from './api.ts'
import { cliPage } from './cli.ts'
import { manifestPage } from './manifest.ts'
import { metricsPage } from './metrics.ts'
import { table } from './table.ts'

const MADE = '<!-- made from the code by npm run docs; edit contrib/docs/pages.ts -->\n'

/** The pages that are generated from the code, by path. */
export async function pages(): Promise<Readonly<Record<string, string>>> {
  return {
    'docs/settings.md': await settingsPage(),
    'docs/errors.md': errorsPage(),
    'docs/cli.md': await cliPage(MADE),
    'docs/api.md': apiPage(MADE),
    'docs/shadow-toml.md': manifestPage(MADE),
    'docs/metrics.md': metricsPage(MADE),
    'docs/shadow.schema.json': `${JSON.stringify(manifestJsonSchema(), null, 2)}\n`,
  }
}

async function settingsPage(): Promise<string> {
  const tables = (await settingsTables()).map(({ of, rows }) => {
    const cells = rows.map(row => [
      `\`${row.env}\``,
      row.default === null ? sayNone(row) : `\`${row.default}\``,
      row.help,
    ])
    return `## ${of}\n\n${table(['setting', 'default', 'what it says'], cells)}`
  })
  return `# Settings

${MADE}
Settings are read from the environment. \`shadow help settings\` prints the same tables. \`shadow up\` reads those of all three daemons. A daemon
that starts with wrong settings names all of them at once. An empty variable counts as not set.

${tables.join('\n')}`
}

function errorsPage(): string {
  const rows = errorsTable().map(({ code, status, exit, means }) => [
    `\`${code}\``,
    String(status),
    String(exit),
    means,
  ])
  return `# Errors

${MADE}
An error says what happened, to what, and how to fix it. \`--json\` prints it as a problem document (RFC 9457) on stderr. The API answers
with the same document, and with its code in \`x-shadow-error\`. Visitors of an app get the code, one sentence and an id. The rest is in
\`shadow why\`, in \`shadow status\`, and in the front's log under the id.

A request that HTTP has a status of its own for is \`bad-input\` with that status: 405 (\`CONNECT\`), 417 (\`Expect\`), 501 (an unknown
method), 505 (another version). The CLI exits with 0, or with the exit code of the table. \`shadow help errors\` prints the same table.

${table(['code', 'HTTP', 'exit', 'what it means'], rows)}`
}
