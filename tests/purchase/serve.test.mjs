// `bursar serve` and the other commands, configured by hand against a sandbox of its own: as one would go live.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { createHmac } from 'node:crypto';
import { after, test } from 'node:test';
import { Dev, freePort } from '../harness/dev.mjs';
import { run, start, temporaryFolder, until } from '../harness/process.mjs';
import { startSandbox } from '../harness/sandbox.mjs';

const box = await startSandbox();
after(() => box.program.stop());
const folder = temporaryFolder('serve');
const data = path.join(folder, 'data');
const port = await freePort();
const base = `http://127.0.0.1:${port}`;
const jwtSecret = 'a secret that the issuer shares with this server';

const encode = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
function token(claims, { secret = jwtSecret, header = { alg: 'HS256', typ: 'JWT' } } = {}) {
  const head = `${encode(header)}.${encode({ exp: Math.floor(Date.now() / 1000) + 600, ...claims })}`;
  return `${head}.${createHmac('sha256', secret).update(head).digest('base64url')}`;
}
// As after a roll at Stripe: the old secret and the new one, both valid for a while.
const [oldSecret, newSecret] = ['whsec_the_old_one_0123456789', 'whsec_the_new_one_0123456789'];
const settings = {
  BURSAR_BASE_URL: base, BURSAR_LISTEN: `127.0.0.1:${port}`, BURSAR_DATA: data, STRIPE_SECRET_KEY: box.key, STRIPE_API_BASE_URL: box.base,
  STRIPE_WEBHOOK_SECRET: `${oldSecret},${newSecret}`, BURSAR_JWT_HS256_SECRET: jwtSecret,
};

let program;
after(() => program?.stop());

async function serve(env, args = []) {
  const program = start(['serve', ...args], { env, cwd: folder });
  await program.line((text) => /serving on/.test(text));
  return program;
}

test('a server that is half configured refuses to start and says what is missing', () => {
  const { status, stderr } = run(['serve'], { env: { BURSAR_DATA: path.join(folder, 'none') } });
  assert.notEqual(status, 0);
  for (const name of ['BURSAR_BASE_URL', 'STRIPE_SECRET_KEY', 'STRIPE_WEBHOOK_SECRET']) assert.match(stderr, new RegExp(name));
});

test('an unknown setting is an error that names it', () => {
  const file = path.join(folder, 'typo.toml');
  fs.writeFileSync(file, '[stripe]\ncurency = "usd"\n');
  const { status, stderr } = run(['config', '--config', file]);
  assert.notEqual(status, 0);
  assert.match(stderr, /curency/);
});

test('the configuration in effect is shown without secrets', () => {
  const { status, stdout } = run(['config'], { env: settings });
  assert.equal(status, 0);
  assert.match(stdout, /STRIPE_SECRET_KEY|secret_key/);
  for (const secret of [box.key, oldSecret, newSecret, jwtSecret]) assert.ok(!stdout.includes(secret));
});

test('without payments, buying is off and the webhook says what to set', async () => {
  const other = await freePort();
  const free = await serve({ BURSAR_BASE_URL: `http://127.0.0.1:${other}`, BURSAR_LISTEN: `127.0.0.1:${other}`, BURSAR_DATA: path.join(folder, 'free') }, ['--without-payments']);
  const methods = await (await fetch(`http://127.0.0.1:${other}/v1/payment/methods`)).json();
  assert.equal(methods.items[0].enabled, false);
  assert.ok(methods.items[0].reason);
  const webhook = await fetch(`http://127.0.0.1:${other}/v1/payment.stripe/webhook`, { method: 'POST', body: '{}', headers: { 'stripe-signature': 't=1,v1=00' } });
  assert.equal(webhook.status, 503);
  assert.match((await webhook.json()).error.message, /STRIPE_WEBHOOK_SECRET/);
  assert.equal((await free.interrupt()).code, 0);
});

test('a purchase at a served instance: a JWT of the issuer, either webhook secret, restarts', async () => {
  const made = run(['key', 'create', '--admin', '--data', data], { env: settings });
  assert.equal(made.status, 0, made.stderr);
  const admin = made.stdout.trim().split('\n').at(-1);
  program = await serve(settings);
  const customer = token({ sub: 'customer-7' });
  const shop = new Dev(program, data, {
    base_url: base, admin_key: admin, user_id: 'customer-7', user_token: customer, stripe_api_base: box.base, stripe_secret_key: box.key, stripe_webhook_secret: newSecret,
  });

  for (const secret of [oldSecret, newSecret]) {
    const before = await shop.credits();
    const { topup, session } = await shop.order(500);
    assert.equal((await shop.pay(session, 500)).status, 200);
    const completed = (await shop.events(session)).find(({ type }) => type === 'checkout.session.completed');
    assert.equal((await shop.deliver(completed, { secret: 'whsec_nobody_knows_this_one' })).status, 400);
    assert.equal((await shop.deliver(completed, { secret })).status, 200);
    await shop.finished(topup.topup_id);
    assert.equal(await shop.credits(), before + 500);
  }

  const refused = [
    token({ sub: 'customer-7' }, { secret: 'another secret, also long enough' }),
    token({ sub: 'customer-7', exp: 1 }),
    token({}),
    token({ sub: 'customer-7' }, { header: { alg: 'none', typ: 'JWT' } }),
    `${encode({ alg: 'none' })}.${encode({ sub: 'customer-7', exp: 4_000_000_000 })}.`,
  ];
  for (const bad of refused) assert.equal((await shop.call('GET', '/v1/balance/me', { token: bad })).status, 401);

  const second = start(['serve'], { env: { ...settings, BURSAR_LISTEN: '127.0.0.1:0' }, cwd: folder });
  assert.notEqual((await second.exited).code, 0, 'two processes on one folder');
  assert.equal((await program.stop()).code, 0);
  program = await serve(settings);
  assert.equal(await shop.credits(), 1000);
  assert.equal(run(['audit', '--data', data]).status, 0);
});

test('a Host header never decides where a customer is sent', async () => {
  const customer = token({ sub: 'customer-8' });
  const shop = new Dev(undefined, data, { base_url: base, user_token: customer, stripe_api_base: box.base, stripe_secret_key: box.key });
  const topup = await shop.user('POST', '/v1/balance/topups/create', { amount: 500 });
  const body = JSON.stringify({ topup_id: topup.topup_id });
  const status = await new Promise((resolve, reject) => {
    const request = http.request({
      host: '127.0.0.1', port, path: '/v1/payment.stripe/checkout/create', method: 'POST',
      headers: { host: 'evil.example', origin: 'https://evil.example', authorization: `Bearer ${customer}`, 'content-type': 'application/json', 'content-length': body.length },
    }, (response) => response.resume().on('end', () => resolve(response.statusCode)));
    request.on('error', reject).end(body);
  });
  assert.equal(status, 200);
  const { body: list } = await shop.stripe('GET', '/v1/checkout/sessions?limit=1');
  assert.ok(list.data[0].success_url.startsWith(base), list.data[0].success_url);
  assert.ok(!JSON.stringify(list).includes('evil.example'));
});

test('bursar trigger makes every event happen that the product hears of', async () => {
  for (const event of ['checkout.session.completed', 'checkout.session.async_payment_succeeded', 'checkout.session.async_payment_failed', 'checkout.session.expired', 'payment_intent.payment_failed', 'payment_intent.succeeded', 'charge.succeeded', 'charge.refunded', 'refund.created', 'refund.failed']) {
    const { status, stdout, stderr } = run(['trigger', event, '--api-base', box.base, '--api-key', box.key]);
    assert.equal(status, 0, stdout + stderr);
    const seen = async () => (await (await fetch(`${box.base}/v1/events?type=${event}&limit=1`, { headers: { authorization: `Bearer ${box.key}` } })).json()).data.length;
    await until(seen, { what: event });
  }
  const { status, stderr } = run(['trigger', 'no.such.event', '--api-base', box.base, '--api-key', box.key]);
  assert.notEqual(status, 0);
  assert.match(stderr, /no\.such\.event/);
});
