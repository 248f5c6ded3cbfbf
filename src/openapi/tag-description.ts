import type { SchemaExamples } from './schema-components.ts'

/** A group of operations, as its feature describes it for the OpenAPI document. */
export type TagDescription = {
  name: string
  description: string
  /** The first words of its permissions, as `slots` of `slots:list`, where they are not the tag's name. */
  permissionGroups?: readonly string[]
  /** Which operations that need no sign-in are in it, by their paths. */
  openPaths?: RegExp
  /** An example of each of its schemas that has a name. All are of one small hospital: see `example-values.ts`. */
  examples: SchemaExamples
}

/** @throws {Error} where no tag has the operations of this permission, or this path that needs no sign-in */
export function getTagName(tags: readonly TagDescription[], permission: string, path: string): string {
  const [group = ''] = permission.split(':')
  const found = tags.find(({ name, permissionGroups = [name], openPaths }) =>
    permission === 'anyone' ? openPaths?.test(path) : permissionGroups.includes(group),
  )
  if (!found) throw new Error(`no tag in app.ts has the operations of ${permission} at ${path}`)
  return found.name
}
