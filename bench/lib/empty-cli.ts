// The least that a CLI can be: what `shadow --version` is measured against.
import { Command } from 'commander'

await new Command('empty').version('0.0.0').parseAsync()
