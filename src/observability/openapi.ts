import type { TagDescription } from '../openapi/tag-description.ts'
import { apiIndex } from './routes.ts'

/** With the document and its page: the last of the tags has what no other one has. */
export const operationTag: TagDescription = {
  name: 'operation',
  description: 'What operators and monitors ask.',
  openPaths: /^\//,
  examples: {
    Health: { status: 'ok' },
    Index: apiIndex,
  },
}
