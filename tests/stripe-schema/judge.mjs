// Holds what the sandbox says against what Stripe's package says it should be.
import fs from 'node:fs';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import Ajv from 'ajv';

const here = path.dirname(fileURLToPath(import.meta.url));
const schemaFile = path.join(here, '..', '..', 'target', 'stripe-schema', 'schema.json');

/** Derives the schema once for each version of the package, in a process of its own: the compiler takes 300 MB. */
function schema() {
  execFileSync(process.execPath, [path.join(here, 'derive.mjs'), '--if-stale'], { stdio: ['ignore', 'ignore', 'inherit'] });
  return JSON.parse(fs.readFileSync(schemaFile, 'utf8'));
}

const described = schema();
const ajv = new Ajv({ allErrors: true, strict: false, discriminator: true, passContext: true, logger: false });
ajv.addKeyword({
  keyword: 'expandable',
  errors: false,
  error: { message: 'is an object although the request did not expand it' },
  // `this` is what the validator was called with: the set of paths the request asked to expand.
  validate: function expandedOnlyWhenAsked(_, value, __, at) {
    if (typeof value !== 'object' || value === null) return true;
    const place = at.instancePath.split('/').filter((part) => part && !/^[0-9]+$/.test(part)).join('.');
    return this.has(place);
  },
});
ajv.addSchema({ definitions: described.definitions }, 'stripe');
const validators = new Map();

function validator(name, part) {
  if (!validators.has(name)) {
    const text = JSON.stringify(part).replaceAll('"#/definitions/', '"stripe#/definitions/');
    validators.set(name, ajv.compile(JSON.parse(text)));
  }
  return validators.get(name);
}

/** Keeps what explains the failure: of the branches of an `anyOf`, the one that got furthest into the value. */
function complaintsOf(errors) {
  const branches = ['anyOf', 'oneOf'];
  const found = errors.filter((error) => !branches.includes(error.keyword));
  const says = (other, error) =>
    other.instancePath.startsWith(`${error.instancePath}/`) || (other.instancePath === error.instancePath && other.keyword !== 'type');
  const told = found
    .filter((error) => error.keyword !== 'type' || !found.some((other) => says(other, error)))
    .map(({ instancePath, message, params }) => {
      const detail = params.additionalProperty ?? params.allowedValues?.slice(0, 8).join('|') ?? params.tagValue;
      return `${instancePath || '/'} ${message}${detail === undefined ? '' : ` (${detail})`}`;
    });
  return [...new Set(told.length ? told : errors.map((error) => `${error.instancePath || '/'} ${error.message}`))].slice(0, 12);
}

function complaints(name, part, value, expanded) {
  const check = validator(name, part);
  return check.call(expanded, value) ? [] : complaintsOf(check.errors);
}

const templates = Object.keys(described.operations).map((operation) => {
  const [method, template] = operation.split(' ');
  const pattern = template.replaceAll('{id}', '[^/]+');
  return { operation, method, pattern: new RegExp(`^${pattern}$`), wild: template.includes('{id}') };
}).sort((a, b) => a.wild - b.wild);

/** The operation of Stripe's that a request is, such as `POST /v1/refunds/{id}`; nothing if it is none of those served. */
export function operationOf(method, pathname) {
  return templates.find((one) => one.method === method && one.pattern.test(pathname))?.operation;
}

/** What is wrong with an answer: a list of complaints, empty if it is as described. */
export function judgeAnswer({ method, pathname, status, body, expand = [] }) {
  if (status >= 400) return complaints('error', described.error, body, new Set());
  const operation = operationOf(method, pathname);
  if (!operation) return [`${method} ${pathname} is not an operation of Stripe's`];
  // Expanding a path expands every step that leads to it.
  const steps = expand.flatMap((asked) => asked.split('.').map((_, n, parts) => parts.slice(0, n + 1).join('.')));
  return complaints(operation, described.operations[operation], body, new Set(steps));
}

/** What is wrong with an event: a list of complaints. */
export function judgeEvent(event) {
  const part = described.events[event.type];
  return part ? complaints(event.type, part, event, new Set()) : [`there is no event type ${event.type}`];
}

/** What is wrong with a resource object, known by its `object` field. Nothing is known of objects we do not serve. */
export function judgeObject(object) {
  const part = described.resources[object.object];
  return part ? complaints(`object ${object.object}`, part, object, new Set()) : undefined;
}

export const version = described.version;
export const operations = Object.keys(described.operations);
export const eventTypes = Object.keys(described.events);
