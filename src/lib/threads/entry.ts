/** The file of a worker: in the source tree beside its caller (`here`), in a build under its name in the build folder. */
export function entryOf(here: string, source: string, built: string): URL {
  if (here.endsWith('.ts')) return new URL(source, here)
  return new URL(here.includes('/chunks/') ? `../${built}` : `./${built}`, here)
}
