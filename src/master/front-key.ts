/** The key of the document of a front in a folder. Names of machines may have capital letters, and keys of documents have none. */
export const frontKey = (folder: string, name: string): string =>
  `${folder}${name.toLowerCase().replace(/^[^a-z0-9_]/, '_')}.json`
