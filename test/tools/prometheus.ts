import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { temporaryFolder } from '../../src/testing/folders.ts'
import { freePort } from '../../src/testing/free-port.ts'
import { TEST_FOLDER_PREFIX } from './environment.ts'
import { until } from './shadow.ts'

/** A Prometheus that scrapes these addresses each second, until it is disposed. */
export type Prometheus = AsyncDisposable & {
  /** How many series the query gives; fails where Prometheus cannot read it. */
  series(query: string): Promise<number>
  /** The names of the alert rules that it has loaded, by their health. */
  rules(): Promise<readonly { readonly name: string; readonly health: string; readonly lastError?: string }[]>
}

export async function prometheus(targets: readonly string[], rules: string): Promise<Prometheus> {
  const folder = temporaryFolder(TEST_FOLDER_PREFIX)
  const port = await freePort()
  const config = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [rules],
    scrape_configs: [{ job_name: 'shadow', static_configs: [{ targets }] }],
  }
  await writeFile(`${folder}/prometheus.yml`, JSON.stringify(config)) // JSON is YAML
  const child = spawn(
    'prometheus',
    [
      `--config.file=${folder}/prometheus.yml`,
      `--storage.tsdb.path=${folder}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=error',
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  )
  const ask = async (path: string) => {
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)
    // biome-ignore lint/suspicious/noExplicitAny: callers know what they ask for
    const body = (await answer.json()) as { status: string; error?: string; data: any }
    if (body.status !== 'success') throw new Error(`${path}: ${body.error}`)
    return body.data
  }
  await until(() =>
    fetch(`http://127.0.0.1:${port}/-/ready`).then(
      ({ ok }) => ok || undefined,
      () => undefined, // it does not listen yet
    ),
  )
  return {
    series: async query => (await ask(`query?query=${encodeURIComponent(query)}`)).result.length,
    rules: async () => (await ask('rules')).groups.flatMap((group: { rules: unknown[] }) => group.rules),
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    },
  }
}
