/** A login shell: bash where the container has it. */
export const SHELL: readonly string[] = ['sh', '-c', 'command -v bash > /dev/null && exec bash -l; exec sh -l']
