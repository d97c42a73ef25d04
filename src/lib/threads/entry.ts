/** The file of a worker: beside the source that starts it (`here`), or in the folder of what was built, under the name it has there. */
export function entryOf(here: string, source: string, built: string): URL {
  if (here.endsWith('.ts')) return new URL(source, here)
  return new URL(here.includes('/chunks/') ? `../${built}` : `./${built}`, here)
}
