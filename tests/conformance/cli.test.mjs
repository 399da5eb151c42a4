// Stripe's own command-line program against the sandbox: `stripe trigger` makes events happen, `stripe listen` hears them.
import assert from 'node:assert/strict';
import path from 'node:path';
import { createRequire } from 'node:module';
import { after, before, describe, test } from 'node:test';
import Stripe from 'stripe';
import { start, temporaryFolder } from '../harness/process.mjs';
import { startReceiver, startSandbox } from '../harness/sandbox.mjs';

/** The program: named in STRIPE_CLI, or the binary that npm `@stripe/cli` consists of on this platform. */
function program() {
  if (process.env.STRIPE_CLI) return process.env.STRIPE_CLI;
  try {
    return path.join(path.dirname(createRequire(import.meta.url).resolve(`@stripe/cli-${process.platform}-${process.arch}/package.json`)), 'bin', 'stripe');
  } catch {
    return undefined;
  }
}
const skip = !program() && `skipped: no Stripe CLI for ${process.platform}-${process.arch}; name one in STRIPE_CLI`;

const folder = temporaryFolder('cli');
// Its requests still carry `payment_method_types`, so the account has the version from before those were refused.
const box = await startSandbox({ args: [] });
const receiver = await startReceiver();
after(() => box.program.stop());
after(() => receiver.close());

/** Runs the CLI with a home of its own and without telemetry: there may be no network. */
function stripe(args) {
  const env = { HOME: folder, XDG_CONFIG_HOME: folder, STRIPE_CLI_TELEMETRY_OPTOUT: '1', NO_COLOR: '1' };
  // Only 127.0.0.1 will do: the program refuses an address on `localhost`.
  return start([...args, '--api-key', box.key, '--api-base', box.base, '--color', 'off'], { command: program(), env });
}

const TRIGGERS = [
  'checkout.session.completed', 'checkout.session.async_payment_succeeded', 'checkout.session.async_payment_failed', 'checkout.session.expired',
  'payment_intent.created', 'payment_intent.succeeded', 'payment_intent.payment_failed', 'payment_intent.canceled', 'payment_intent.processing',
  'payment_intent.requires_action', 'payment_intent.amount_capturable_updated',
  'charge.succeeded', 'charge.failed', 'charge.captured', 'charge.refunded',
  'customer.created', 'customer.updated', 'customer.deleted', 'product.created', 'price.created',
];

describe('stripe listen', { skip }, () => {
  let listener;
  let secret;
  before(async () => {
    listener = stripe(['listen', '--all-snapshot', '--forward-to', receiver.url, '--skip-verify']);
    secret = await listener.line((text) => /Ready!.*(whsec_\w+)/.exec(text)?.[1]);
  });
  after(() => listener.stop());

  for (const type of TRIGGERS) {
    test(`hears ${type} after stripe trigger`, async () => {
      const earlier = receiver.events(type).length;
      const trigger = stripe(['trigger', type]);
      const { code } = await trigger.exited;
      assert.equal(code, 0, trigger.lines.join('\n'));
      const { bytes, headers } = await receiver.event(type, () => receiver.events(type).length > earlier);
      assert.ok(Stripe.webhooks.constructEvent(bytes, headers['stripe-signature'], secret));
    });
  }
});

test('stripe listen --print-secret says what it signs with', { skip }, async () => {
  const listener = stripe(['listen', '--print-secret']);
  assert.equal((await listener.exited).code, 0);
  assert.match(listener.lines.join('\n'), /whsec_\w{16,}/);
});

test('stripe get reads what the sandbox keeps', { skip }, async () => {
  const made = stripe(['post', '/v1/customers', '-d', 'name=Ada']);
  assert.equal((await made.exited).code, 0, made.lines.join('\n'));
  const { id } = JSON.parse(made.lines.join('\n'));
  const read = stripe(['get', `/v1/customers/${id}`]);
  assert.equal((await read.exited).code, 0, read.lines.join('\n'));
  assert.equal(JSON.parse(read.lines.join('\n')).name, 'Ada');
});
