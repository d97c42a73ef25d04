/** What only BuildKit understands in a Dockerfile. */
const OF_BUILDKIT = [
  /^\s*#\s*syntax\s*=/i,
  /^\s*RUN\s+(?:--\S+\s+)*--(?:mount|network|security)=/i,
  /^\s*(?:COPY|ADD)\s+(?:--\S+\s+)*--(?:link|chmod|checksum|parents|exclude)\b/i,
]

/** Whether the Dockerfile can be built by BuildKit alone. */
export const needsBuildkit = (dockerfile: string): boolean =>
  dockerfile.split('\n').some(line => OF_BUILDKIT.some(one => one.test(line)))
