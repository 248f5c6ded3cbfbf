import * as z from 'zod'
import { maxPageRows } from '../database/query/keyset-list.ts'
/** The query of a list: `filters`, what every list takes, and its `sorts`, which a leading `-` turns round. */
export const listQuery = <Filters extends z.ZodRawShape, const Sort extends string>(
  filters: Filters,
  sorts: readonly Sort[],
) =>
  z.strictObject({
    ...filters,
    limit: z
      .string()
      .regex(/^\d{1,3}$/, `must be a whole number from 1 to ${maxPageRows}`)
      .transform(Number)
      .pipe(z.int().min(1).max(maxPageRows))
      .default(50)
      .meta({ type: 'integer', pattern: undefined, minimum: 1, maximum: maxPageRows, default: 50 }),
    cursor: z.string().max(2000).optional().meta({ description: 'From the `next` of the page before.' }),
    count: z.enum(['true', 'false']).optional().meta({ description: 'Whether to count all that match.' }),
    sort: z
      .enum(sorts.flatMap((name): (Sort | `-${Sort}`)[] => [name, `-${name}`]))
      .optional()
      .meta({ description: 'A leading `-` turns the order round. Newest first where it is left out.' }),
  })

/** The query of a list in the one order there is: newest first. */
export const newestFirstQuery = <Filters extends z.ZodRawShape>(filters: Filters) =>
  listQuery(filters, []).omit({ sort: true })
