// Reads the type declarations of the installed npm package `stripe` and writes what
// they say about the wire as JSON Schema: one schema for each operation's answer,
// one for each event type, one for the error object.
//
// Stripe generates that package from its own API description, so this is Stripe's
// judgement of our sandbox, not ours. The result goes to target/ and is never
// committed.
//
//   node stripe-schema/derive.mjs [--if-stale]
//
// What the declarations do not say and so is not checked: lengths of strings, and
// the format of dates. Whole numbers are `number` there; see FRACTIONS.
import fs from 'node:fs';
import path from 'node:path';
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const here = path.dirname(fileURLToPath(import.meta.url));
const packageDir = path.join(here, '..', 'node_modules', 'stripe');
const sdk = path.join(packageDir, 'esm');
const output = path.join(here, '..', '..', 'target', 'stripe-schema', 'schema.json');

/** The resources the sandbox serves, by the first part of their path. */
const SERVED_PATHS = [
  '/v1/checkout/sessions', '/v1/payment_intents', '/v1/charges', '/v1/refunds', '/v1/customers',
  '/v1/payment_methods', '/v1/events', '/v1/webhook_endpoints', '/v1/balance_transactions',
  '/v1/products', '/v1/prices', '/v1/coupons', '/v1/promotion_codes', '/v1/disputes',
  '/v1/radar/early_fraud_warnings', '/v1/setup_intents',
];

/** The same resources by the value of their `object` field: what an id may expand to. */
const SERVED_OBJECTS = new Set([
  'checkout.session', 'payment_intent', 'charge', 'refund', 'customer', 'payment_method', 'event',
  'webhook_endpoint', 'balance_transaction', 'product', 'price', 'item',
  'coupon', 'promotion_code', 'dispute', 'radar.early_fraud_warning', 'setup_intent',
]);

/** The few numbers on the wire that may have a fractional part. All the others count something whole. */
const FRACTIONS = /percent|percentage|exchange_rate|^(height|length|weight|width|latitude|longitude|co2_kg)$/;

if (process.argv[2] === '--if-stale' && isFresh()) process.exit(0);

const program = ts.createProgram([path.join(sdk, 'stripe.esm.node.d.ts')], {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2022,
  strict: true,
  skipLibCheck: true,
  types: [],
});
const checker = program.getTypeChecker();
const definitions = {};
const nameOfType = new Map();

const isOpenString = (type) =>
  type.isIntersection() && type.types.some((part) => part.flags & ts.TypeFlags.String);
const isAbsent = (type) =>
  type.isUnion() ? type.types.every(isAbsent) : Boolean(type.flags & (ts.TypeFlags.Undefined | ts.TypeFlags.Void));

/** The value of a resource's `object` field, or nothing if the type is no resource. */
function objectName(type) {
  const field = type.isUnion() || !(type.flags & ts.TypeFlags.Object) ? undefined : checker.getPropertyOfType(type, 'object');
  const value = field && checker.getTypeOfSymbol(field);
  return value?.isStringLiteral() ? value.value : undefined;
}

function schemaOf(type, field = '') {
  const { flags } = type;
  if (flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown)) return {};
  if (flags & ts.TypeFlags.StringLiteral) return { type: 'string', enum: [type.value] };
  if (flags & ts.TypeFlags.NumberLiteral) return { const: type.value };
  if (flags & ts.TypeFlags.BooleanLiteral) return { const: type.intrinsicName === 'true' };
  if (flags & ts.TypeFlags.Boolean) return { type: 'boolean' };
  if (flags & ts.TypeFlags.String || isOpenString(type)) return { type: 'string' };
  if (flags & ts.TypeFlags.Number) return { type: FRACTIONS.test(field) ? 'number' : 'integer' };
  if (flags & ts.TypeFlags.Null) return { type: 'null' };
  if (type.aliasSymbol?.name === 'Decimal') return { type: 'string', pattern: '^-?[0-9]+(\\.[0-9]+)?$' };
  if (type.isUnion()) return unionOf(type.types, field);
  if (checker.isArrayType(type)) return { type: 'array', items: schemaOf(checker.getTypeArguments(type)[0], field) };
  if (flags & ts.TypeFlags.Object || type.isIntersection()) return referenceTo(type);
  throw new Error(`the declarations use a type this program does not know: ${checker.typeToString(type)}`);
}

function unionOf(types, field) {
  const present = types.filter((type) => !isAbsent(type));
  // The type of an event says which of the many it is; the ones about resources not served are left out.
  if (present.length > 9 && present.every((type) => objectName(type) === 'event'))
    return { type: 'object', discriminator: { propertyName: 'type' }, required: ['type'], oneOf: Object.values(events()) };
  const open = present.some((type) => type.flags & ts.TypeFlags.String || isOpenString(type));
  const words = present.filter((type) => type.isStringLiteral()).map((type) => type.value);
  const booleans = present.filter((type) => type.flags & ts.TypeFlags.BooleanLiteral);
  const resources = present.filter((type) => objectName(type));
  const others = present.filter((type) =>
    !type.isStringLiteral() && !(type.flags & (ts.TypeFlags.String | ts.TypeFlags.BooleanLiteral)) && !isOpenString(type));
  const members = [];
  // An enum that Stripe may extend without a new version lists its words and `string`: any word will do.
  if (open) members.push({ type: 'string' });
  else if (words.length) members.push({ type: 'string', enum: words });
  if (booleans.length === 2) members.push({ type: 'boolean' });
  else members.push(...booleans.map((type) => schemaOf(type)));
  // "id or object" where the object belongs to a resource we do not serve stays an id.
  const expandable = open && resources.length > 0;
  const kept = expandable ? others.filter((type) => !resources.includes(type) || SERVED_OBJECTS.has(objectName(type))) : others;
  members.push(...kept.map((type) => schemaOf(type, field)));
  const schema = members.length === 1 ? { ...members[0] } : { anyOf: members };
  return expandable ? { ...schema, expandable: true } : schema;
}

function referenceTo(type) {
  const known = nameOfType.get(type);
  if (known) return { $ref: `#/definitions/${known}` };
  const written = checker
    .typeToString(type, undefined, ts.TypeFormatFlags.UseFullyQualifiedType | ts.TypeFormatFlags.NoTruncation)
    .replace(/import\(.*?\)\./g, '')
    .replace(/[^A-Za-z0-9.]+/g, '_')
    .slice(0, 80);
  let name = written;
  for (let n = 2; name in definitions; n += 1) name = `${written}_${n}`;
  nameOfType.set(type, name);
  definitions[name] = {};
  Object.assign(definitions[name], objectOf(type));
  return { $ref: `#/definitions/${name}` };
}

function objectOf(type) {
  const properties = {};
  const required = [];
  // The attributes an event says had other values before: any of them may have been nothing.
  const previous = type.aliasSymbol?.name === 'Partial';
  for (const symbol of checker.getPropertiesOfType(type)) {
    const value = checker.getTypeOfSymbol(symbol);
    if (isAbsent(value) || symbol.name === 'lastResponse') continue;
    const schema = schemaOf(value, symbol.name);
    properties[symbol.name] = previous ? { anyOf: [schema, { type: 'null' }] } : schema;
    if (!(symbol.flags & ts.SymbolFlags.Optional)) required.push(symbol.name);
  }
  const index = checker.getIndexInfoOfType(type, ts.IndexKind.String);
  return {
    type: 'object',
    properties,
    ...(required.length ? { required } : {}),
    additionalProperties: index ? schemaOf(index.type) : false,
  };
}

const declarations = () => program.getSourceFiles().filter((file) => file.fileName.includes('/stripe/esm/resources/'));

function visit(node, see) {
  see(node);
  ts.forEachChild(node, (child) => visit(child, see));
}

/** Method and path of every call in a resource's JavaScript, by "Class.method". */
function callsIn(declarationFile) {
  const file = declarationFile.replace(/\.d\.ts$/, '.js');
  const source = ts.createSourceFile(file, fs.readFileSync(file, 'utf8'), ts.ScriptTarget.ES2022, true);
  const calls = {};
  visit(source, (node) => {
    if (!ts.isCallExpression(node) || node.expression.name?.text !== '_makeRequest') return;
    const [verb, url] = node.arguments;
    const method = ts.findAncestor(node, ts.isMethodDeclaration);
    if (!method || !ts.isStringLiteral(verb)) return;
    const address = ts.isTemplateExpression(url)
      ? url.head.text + url.templateSpans.map((span) => `{id}${span.literal.text}`).join('')
      : url.text;
    calls[`${method.parent.name.text}.${method.name.text}`] ??= { verb: verb.text, path: address };
  });
  return calls;
}

/** What a method of the client answers with: T of `Promise<Response<T>>`, or the list that a list promise resolves to. */
function answerOf(method) {
  const inner = method.type.typeArguments?.[0];
  if (ts.isTypeReferenceNode(inner) && inner.typeName.getText() === 'Response') return checker.getTypeFromTypeNode(inner.typeArguments[0]);
  const answer = checker.getAwaitedType(checker.getTypeFromTypeNode(method.type));
  // A list comes as its own type with `lastResponse` beside it.
  return answer.isIntersection() ? answer.types[0] : answer;
}

function operations() {
  const found = {};
  for (const file of declarations()) {
    const calls = callsIn(file.fileName);
    visit(file, (node) => {
      if (!ts.isMethodDeclaration(node) || !ts.isClassDeclaration(node.parent)) return;
      const call = calls[`${node.parent.name.text}.${node.name.getText()}`];
      if (!call?.path || !SERVED_PATHS.some((start) => call.path === start || call.path.startsWith(`${start}/`))) return;
      found[`${call.verb} ${call.path}`] = schemaOf(answerOf(node));
    });
  }
  return found;
}

/** The type that a file of the package exports under this name. */
function exported(file, name) {
  const source = program.getSourceFile(path.join(sdk, file));
  const symbol = checker.getExportsOfModule(checker.getSymbolAtLocation(source)).find((one) => one.name === name);
  return checker.getDeclaredTypeOfSymbol(symbol);
}

const propertyType = (type, name) => checker.getTypeOfSymbol(checker.getPropertyOfType(type, name));

/** Every event type whose object is one of the resources served. */
function events() {
  const found = {};
  for (const event of exported('resources/Events.d.ts', 'Event').types) {
    const subject = propertyType(propertyType(event, 'data'), 'object');
    const kinds = (subject.isUnion() ? subject.types : [subject]).map(objectName);
    if (kinds.some((kind) => SERVED_OBJECTS.has(kind))) found[propertyType(event, 'type').value] = schemaOf(event);
  }
  return found;
}

/** The error object: the fields of the client's error class that come from the wire. */
function errorObject() {
  const properties = { type: schemaOf(exported('Types.d.ts', 'RawErrorType')) };
  // Set by the client from the response's headers and status, or by JavaScript itself.
  const local = new Set(['type', 'raw', 'rawType', 'headers', 'requestId', 'detail', 'statusCode', 'userMessage', 'name', 'stack', 'cause']);
  for (const symbol of checker.getPropertiesOfType(exported('Error.d.ts', 'StripeError'))) {
    if (!local.has(symbol.name)) properties[symbol.name] = schemaOf(checker.getTypeOfSymbol(symbol), symbol.name);
  }
  return {
    type: 'object',
    required: ['error'],
    additionalProperties: false,
    properties: { error: { type: 'object', required: ['type', 'message'], properties, additionalProperties: false } },
  };
}

/** The resource schemas by the value of their `object` field, for checking sample objects. */
function resources() {
  const named = {};
  for (const [type, name] of nameOfType) {
    const object = objectName(type);
    const other = checker.typeToString(type).startsWith('Partial<') || definitions[name].properties.deleted;
    if (SERVED_OBJECTS.has(object) && object !== 'event' && !other) named[object] ??= { $ref: `#/definitions/${name}` };
  }
  return named;
}

function derive() {
  const version = fs.readFileSync(path.join(sdk, 'apiVersion.js'), 'utf8').match(/ApiVersion = '([^']+)'/)[1];
  const parts = { operations: operations(), events: events(), error: errorObject() };
  return { version, ...parts, resources: resources(), definitions };
}

/** What the result depends on: the package, this program, the compiler. */
function fingerprint() {
  const hash = createHash('sha256').update(ts.version);
  for (const file of [path.join(packageDir, 'package.json'), fileURLToPath(import.meta.url)]) hash.update(fs.readFileSync(file));
  return hash.digest('hex');
}

function isFresh() {
  return fs.existsSync(output) && JSON.parse(fs.readFileSync(output, 'utf8')).fingerprint === fingerprint();
}

const schema = { fingerprint: fingerprint(), ...derive() };
// Written beside and renamed, so that another test file never reads half of it.
fs.mkdirSync(path.dirname(output), { recursive: true });
fs.writeFileSync(`${output}.${process.pid}`, JSON.stringify(schema, null, 1));
fs.renameSync(`${output}.${process.pid}`, output);
const count = (part) => Object.keys(schema[part]).length;
console.log(
  `Stripe ${schema.version}: ${count('operations')} operations, ${count('events')} event types, ` +
    `${count('resources')} resources, ${count('definitions')} definitions`,
);
