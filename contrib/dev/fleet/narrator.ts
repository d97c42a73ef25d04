import { spawn } from 'node:child_process'

/** The CLI of Shadow, with the environment that leads it to the cluster. */
type Cli = { readonly shadow: string; readonly env: Readonly<Record<string, string>> }

const BOLD = '\u001b[1m'
const PLAIN = '\u001b[0m'

/** What a person sees of the demo: headings, sentences, and commands with what they print. */
export class Narrator {
  readonly #begun = performance.now()
  cli: Cli = { shadow: '', env: {} }

  title(text: string): void {
    process.stdout.write(`\n${BOLD}== ${text}${PLAIN}\n`)
  }

  say(text: string): void {
    process.stdout.write(`   ${text}\n`)
  }

  /** Since the demo began. */
  get seconds(): number {
    return Math.round((performance.now() - this.#begun) / 1_000)
  }

  /** Runs the CLI as a person types it; shows the command and what it prints. Fails if the command does. */
  shadow(line: string): Promise<string> {
    return this.#run(`shadow ${line}`, this.cli.shadow, line.split(' '))
  }

  /** Sends a request by curl to a hostname that is at this address. */
  curl(url: URL, address: string, ...args: readonly string[]): Promise<string> {
    const typed = ['curl', ...args.map(arg => (arg.includes(' ') ? `'${arg}'` : arg)), url.href].join(' ')
    const at = ['--connect-to', `${url.host}:${address}:${url.port}`, '--noproxy', '*']
    return this.#run(typed, 'curl', ['--silent', '--show-error', '--max-time', '60', ...at, ...args, url.href])
  }

  /** Runs the CLI without showing it. */
  quiet(line: string): Promise<string> {
    return this.#run(undefined, this.cli.shadow, line.split(' '))
  }

  async #run(typed: string | undefined, file: string, args: readonly string[]): Promise<string> {
    if (typed !== undefined) process.stdout.write(`\n$ ${typed}\n`)
    const child = spawn(file, args, { env: { ...process.env, ...this.cli.env }, stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text
      })
    const exit = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve))
    if (said !== '' && typed !== undefined)
      process.stdout.write(said.replaceAll('\r', '').trimEnd().replace(/^/gm, '  ').concat('\n'))
    if (exit !== 0) throw new Error(`${typed ?? args.join(' ')} ended with exit code ${exit}`)
    return said
  }
}

/** Fails with the text unless it is so. */
export function must(isSo: boolean, text: string): void {
  if (!isSo) throw new Error(text)
}
