/** A cgroup of a process: its folder, below that of the controller in v1. */
type Cgroup = { readonly version: 1 | 2; readonly at: string }

/** The cgroups that have the controller, of the text of /proc/PID/cgroup: cgroups(7). A machine with both versions has it in one of them. */
export const cgroupsOf = (text: string, controller: string): readonly Cgroup[] =>
  text.split('\n').flatMap((line): readonly Cgroup[] => {
    const [, controllers, path = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    if (controllers === '') return [{ version: 2, at: `/sys/fs/cgroup${path}` }]
    return controllers?.split(',').includes(controller)
      ? [{ version: 1, at: `/sys/fs/cgroup/${controller}${path}` }]
      : []
  })
