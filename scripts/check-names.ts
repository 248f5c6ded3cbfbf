import { globSync, readFileSync } from 'node:fs'
import { type Declaration, type Expression, type ModuleItem, parseSync } from '@swc/core'

/*
 * Names of the source that mislead: `npm run check` fails where two files give the same name to different things, and where
 * a number has a unit that its name does not say. What is taken out of an object keeps its property's name and is not
 * looked at (`const { placeholder } = sql`).
 */

/** Names that two files share because they mean the same by them. One that no two files share any more has to go. */
const sharedNames: Record<string, string> = {
  assertPatientInPath: "a route's check of its own path: the same of whatever feature",
  assertDoctorInPath: "a route's check of its own path: the same of whatever feature",
  HonoRoute: 'what Hono says of a route, where the guards and where the document read it',
}

/** The endings that say a unit, and those and the beginnings that say a count or an id. */
const unit = /(Ms|Seconds|Minutes|Hours|Days|Bytes|Mib|Chars)$|(^|[a-z])Per[A-Z]/
const count = /^(max|min)[A-Z]|(Count|Limit|Factor|Code|Id|Descriptor)$/

type Name = { name: string; file: string; isNumber: boolean }

/** Whether an initial value is a number: a literal, or arithmetic. */
const isNumeric = (value: Expression | undefined): boolean => {
  switch (value?.type) {
    case 'NumericLiteral':
      return true
    case 'UnaryExpression':
      return value.operator === '-' && isNumeric(value.argument)
    case 'BinaryExpression':
      return ['*', '/', '+', '-', '**'].includes(value.operator) && (isNumeric(value.left) || isNumeric(value.right))
    case 'ParenthesisExpression':
      return isNumeric(value.expression)
    default:
      return false
  }
}

const namesOf = (declaration: Declaration, file: string): Name[] => {
  switch (declaration.type) {
    case 'VariableDeclaration':
      return declaration.declarations.flatMap(({ id, init }) =>
        id.type === 'Identifier'
          ? [{ name: id.value, file, isNumber: declaration.kind === 'const' && isNumeric(init) }]
          : [],
      )
    case 'FunctionDeclaration':
    case 'ClassDeclaration':
      return [{ name: declaration.identifier.value, file, isNumber: false }]
    case 'TsTypeAliasDeclaration':
    case 'TsInterfaceDeclaration':
      return [{ name: declaration.id.value, file, isNumber: false }]
    default:
      return []
  }
}

const topLevel = (item: ModuleItem, file: string): Name[] => {
  if (item.type === 'ExportDeclaration') return namesOf(item.declaration, file)
  return item.type.endsWith('Declaration') ? namesOf(item as Declaration, file) : []
}

const names = globSync('src/**/*.ts')
  .filter((file) => !file.endsWith('.d.ts'))
  .flatMap((file) =>
    parseSync(readFileSync(file, 'utf8'), { syntax: 'typescript', target: 'es2024' }).body.flatMap((item) =>
      topLevel(item, file),
    ),
  )

const faults: string[] = []
const unused = new Set(Object.keys(sharedNames))
for (const [name, all] of Map.groupBy(names, ({ name }) => name)) {
  const files = [...new Set(all.map(({ file }) => file))]
  if (files.length < 2) continue
  if (!unused.delete(name)) faults.push(`${name} is a name of different things: ${files.join(', ')}`)
}
for (const name of unused) faults.push(`${name} is no longer shared: take it out of sharedNames`)
for (const { name, file, isNumber } of names)
  if (isNumber && !unit.test(name) && !count.test(name))
    faults.push(`${file}: ${name} is a number whose name says neither its unit nor that it is a count`)

for (const fault of faults) process.stderr.write(`${fault}\n`)
process.exitCode = faults.length > 0 ? 1 : 0
