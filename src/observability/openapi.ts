import type { TagDescription } from '../openapi/tag-description.ts'

/** With the document and its page: the last of the tags has what no other one has. */
export const operationTag: TagDescription = {
  name: 'operation',
  description: 'What operators and monitors ask.',
  openPaths: /^\//,
  examples: {
    Health: { status: 'ok' },
    Index: {
      name: 'Hospital API',
      documentation: '/docs',
      openapi: '/openapi.json',
      health: '/healthz',
      ready: '/readyz',
      api: '/api',
      firstStep: 'POST /api/auth/register { name, email, password }',
    },
  },
}
