import * as z from 'zod'

/** A JSON Schema, as OpenAPI 3.1 has it. */
export type JsonSchema = { [keyword: string]: unknown }

/** Examples by the names of their schemas. */
export type SchemaExamples = { [schemaName: string]: Record<string, unknown> }

/** Turns zod's schemas into JSON Schema (draft 2020-12), those with a name into components. */
export class SchemaComponents {
  readonly components: Record<string, JsonSchema> = {}
  readonly #examples: SchemaExamples

  constructor(examples: SchemaExamples) {
    this.#examples = examples
  }

  /** The example that there is of a schema with a name. What it leaves out of a record is null, so that a new field asks for none. */
  getExample(schema: JsonSchema): unknown {
    const [, name = ''] = /#\/components\/schemas\/(\w+)$/.exec(String(schema.$ref)) ?? []
    const example = this.#examples[name]
    const { required } = this.components[name] ?? {}
    if (!example || !Array.isArray(required)) return example
    const leftOut = required.filter((field) => !(field in example))
    return { ...example, ...Object.fromEntries(leftOut.map((field) => [field, null])) }
  }

  /** What may be sent (`input`) or is answered (`output`): a reference where the schema has a name. */
  toJsonSchema(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
    const { $defs = {}, properties } = z.toJSONSchema(z.object({ schema }), {
      io,
      unrepresentable: 'any',
      override({ jsonSchema }) {
        // The format says it already, in a word.
        if (jsonSchema.format !== undefined) delete jsonSchema.pattern
        if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
        if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum
      },
    })
    Object.assign(this.components, toComponentRefs($defs))
    return toComponentRefs(properties?.schema)
  }
}

const toComponentRefs = (schema: unknown): JsonSchema =>
  JSON.parse(JSON.stringify(schema).replaceAll('"#/$defs/', '"#/components/schemas/'))
