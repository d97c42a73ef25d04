import { Argument, type Command } from 'commander'
import { withExamples } from '../command-options.ts'
import type { Terminal } from '../terminal.ts'

const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const

export function define(command: Command, _terminal: Terminal): void {
  command
    .addArgument(new Argument('<shell>', 'whose script is printed').choices(SHELLS))
    .action(async (shell: (typeof SHELLS)[number]) => {
      const { script } = await import('@bomb.sh/tab')
      script(shell, 'shadow', 'shadow')
    })
  withExamples(
    command,
    'source <(shadow completion bash)   # in ~/.bashrc; needs the package bash-completion',
    'source <(shadow completion zsh)    # in ~/.zshrc, after compinit',
    'shadow completion fish >~/.config/fish/completions/shadow.fish',
  )
}
