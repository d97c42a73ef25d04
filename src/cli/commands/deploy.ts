import type { Command } from 'commander'
import { appName } from '../../model/names.ts'
import { type CallFlags, callsMaster } from '../command-options.ts'
import { contentOf } from '../deploy/content.ts'
import { planOf } from '../deploy/plan.ts'
import { appOf, isUnchanged, release, saySettled, settle } from '../deploy/release.ts'
import { Stages } from '../deploy/stages.ts'
import { nameOfFolder, readManifest } from '../manifest/manifest.ts'
import { print } from '../print.ts'
import { findTarget } from '../target.ts'
import type { Terminal } from '../terminal.ts'
import { urlsOf } from '../urls.ts'

type Flags = CallFlags & {
  readonly app?: string
  readonly image?: string
  readonly wait?: true
  readonly local?: true
  readonly dryRun?: true
}

export function define(command: Command, terminal: Terminal): void {
  command
    .argument('[folder]', 'a folder with a shadow.toml, or such a file; left out: this folder')
    .option('--app <name>', 'the name of the app; left out: app of the file, or the name of the folder')
    .option('--image <image>', 'run this image, in place of what the file says')
    .option('--wait', 'wake the app if it sleeps, and wait until the new revision is ready')
    .option('--local', 'build with the docker of this machine, and send the image')
    .option('--dry-run', 'print what would change, and change nothing')
    .action(async (path: string | undefined, flags: Flags) => {
      const manifest = await readManifest({ path: path ?? '.', app: flags.app, image: flags.image })
      const name = appName(manifest.app ?? nameOfFolder(manifest.folder))
      const { master, front } = await findTarget(terminal, flags)
      using stages = new Stages(terminal)
      if (flags.dryRun) {
        const plan = await planOf({ name, manifest, before: await appOf(master, name) })
        return print(terminal, flags.json, plan, ({ says }) => `${says.join('\n')}\n`)
      }
      const content = await contentOf({ name, manifest, master, stages, isLocal: flags.local === true })
      const released = await stages.run(
        'making the revision',
        () => release(master, { name, manifest, content }),
        made =>
          isUnchanged(made)
            ? `nothing has changed: revision ${made.app.task.revision} of ${name}`
            : `revision ${made.app.task.revision} of ${name}: image ${made.app.task.image}`,
      )
      const { app } = released
      const settled = await stages.run(
        'changing over to it',
        () => settle(master, released, { wakes: flags.wait === true, onLine: line => stages.line(line) }),
        settled => saySettled(settled, app.task.revision),
      )
      const phase = settled === 'serves' ? 'awake' : 'asleep'
      const urls = urlsOf(app, front)
      const { revision, image } = app.task
      const said = { app: app.name, revision, unchanged: isUnchanged(released), image, phase, urls }
      print(terminal, flags.json, said, () => `${urls.join('\n')}\n`)
    })
  callsMaster(command, 'shadow deploy', 'shadow deploy blog --wait', 'shadow deploy --app blog-test --image ghost:6')
}
