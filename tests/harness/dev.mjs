// `bursar dev` for a test: the service with its sandbox, the credentials it wrote, and what customers, administrators and
// Stripe do with it.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import Stripe from 'stripe';
import { start, temporaryFolder, until } from './process.mjs';

const givenOut = new Set();

/**
 * A port that nobody uses at the moment, and that the system gives to nobody who asks for any: a server that is killed finds it
 * free when it comes back.
 */
export const freePort = () =>
  new Promise((resolve) => {
    const port = 10_000 + Math.floor(Math.random() * 22_000);
    if (givenOut.has(port)) return resolve(freePort());
    givenOut.add(port);
    const server = net.createServer().listen(port, '127.0.0.1', () => server.close(() => resolve(port)));
    return server.once('error', () => resolve(freePort()));
  });

/** Starts `bursar dev` and waits until it answers. */
export async function startDev({ data = path.join(temporaryFolder('dev'), 'data'), listen = '127.0.0.1:0', args = [], env = {} } = {}) {
  const file = path.join(data, 'credentials.json');
  const before = fs.existsSync(file) ? fs.statSync(file).mtimeMs : undefined;
  const program = start(['dev', '--listen', listen, '--data', data, ...args], { env, cwd: path.dirname(data) });
  const ended = { told: undefined };
  program.exited.then((how) => (ended.told = how));
  const credentials = await until(async () => {
    if (ended.told) throw new Error(`bursar dev ended with ${ended.told.signal ?? ended.told.code}\n${program.lines.join('\n')}`);
    if (!fs.existsSync(file)) return undefined;
    // Begun anew on the same folder, the file of the last time is read only where the address is the same by order.
    if (listen.endsWith(':0') && fs.statSync(file).mtimeMs === before) return undefined;
    const told = JSON.parse(fs.readFileSync(file, 'utf8'));
    const answered = await fetch(`${told.base_url}/readyz`).then(({ ok }) => ok, () => false);
    const sandboxed = answered && (await fetch(`${told.stripe_api_base}/sandbox`).then(({ ok }) => ok, () => false));
    return sandboxed && told;
  }, { what: 'an answer of bursar dev' });
  return new Dev(program, data, credentials);
}

export class Dev {
  constructor(program, data, credentials) {
    Object.assign(this, { program, data, credentials });
  }

  /** One request to the service; the answer's body is read as JSON where it is JSON. */
  async call(method, address, { token, body, headers = {}, raw } = {}) {
    const response = await fetch(`${this.credentials.base_url}${address}`, {
      method,
      redirect: 'manual',
      headers: {
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      body: raw ?? (body === undefined ? undefined : JSON.stringify(body)),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.startsWith('application/json');
    return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : undefined };
  }

  /** The same as the demo user, or as the user of another token; anything but 200 is an error. */
  async user(method, address, body, token = this.credentials.user_token) {
    const answer = await this.call(method, address, { token, body });
    assert.equal(answer.status, 200, `${method} ${address}: ${answer.status} ${answer.text}`);
    return answer.body;
  }

  admin(method, address, body) {
    return this.user(method, address, body, this.credentials.admin_key);
  }

  /** An API key of another user. */
  async keyOf(user) {
    return (await this.admin('POST', '/v1/keys/create', { role: 'user', user_id: user, label: 'test' })).api_key;
  }

  async credits(token) {
    return (await this.user('GET', '/v1/balance/me', undefined, token)).credits;
  }

  /** A request to the sandbox, as Stripe's API takes them; `fields` is a form. */
  async stripe(method, address, fields) {
    const response = await fetch(`${this.credentials.stripe_api_base}${address}`, {
      method,
      headers: { authorization: `Bearer ${this.credentials.stripe_secret_key}` },
      body: fields === undefined ? undefined : new URLSearchParams(fields),
    });
    return { status: response.status, body: await response.json() };
  }

  /** A command to the sandbox's control API. */
  async control(command, fields = {}) {
    const response = await fetch(`${this.credentials.stripe_api_base}/sandbox/${command}`, {
      method: 'POST', body: JSON.stringify(fields),
      headers: { authorization: `Bearer ${this.credentials.stripe_secret_key}`, 'content-type': 'application/json' },
    });
    assert.equal(response.status, 200, await response.clone().text());
    return response.json();
  }

  /** From now on the sandbox delivers nothing by itself: the test does it. */
  silence() {
    return this.control('deliveries', { fault: 'drop', count: null });
  }

  /** A top-up and its checkout. */
  async order(credits = 500, token) {
    const topup = await this.user('POST', '/v1/balance/topups/create', { amount: credits, note: 'recharge' }, token);
    const checkout = await this.user('POST', '/v1/payment.stripe/checkout/create', { topup_id: topup.topup_id }, token);
    return { topup, checkout, session: checkout.stripe_checkout_session_id };
  }

  /** Pays a session, as the customer does on Stripe's page. */
  pay(session, amount, method = 'pm_card_visa') {
    return this.stripe('POST', `/v1/payment_pages/${session}/confirm`, { payment_method: method, expected_amount: String(amount) });
  }

  /** The events about one session and its payment, oldest first. */
  async events(session) {
    const { body } = await this.stripe('GET', `/v1/checkout/sessions/${session}`);
    const { body: list } = await this.stripe('GET', '/v1/events?limit=100');
    const isAbout = ({ object }) => object.id === session || [object.id, object.payment_intent].includes(body.payment_intent);
    return list.data.filter(({ data }) => isAbout(data)).reverse();
  }

  /** Delivers an event as Stripe does, signed now unless told otherwise. */
  deliver(event, { secret = this.credentials.stripe_webhook_secret, timestamp, signature, headers = {} } = {}) {
    const payload = typeof event === 'string' ? event : JSON.stringify(event);
    const signed = signature ?? Stripe.webhooks.generateTestHeaderString({ payload, secret, ...(timestamp ? { timestamp } : {}) });
    return this.call('POST', '/v1/payment.stripe/webhook', {
      raw: payload, headers: { 'content-type': 'application/json', ...(signed ? { 'stripe-signature': signed } : {}), ...headers },
    });
  }

  /** What became of an event, once it has been worked off. */
  async settled(event) {
    const find = async () => (await this.admin('GET', `/v1/payment.stripe/events?event_id=${event}`)).items[0];
    return until(async () => {
      const seen = await find();
      return seen && !['pending'].includes(seen.status) && seen;
    }, { what: `work on event ${event}` });
  }

  /** The order is finished and paid. */
  async finished(topup, token) {
    return until(async () => {
      const { items } = await this.user('GET', '/v1/balance/topups/me?limit=100', undefined, token);
      return items.find((one) => one.topup_id === topup && one.status === 'paid');
    }, { what: `credit for top-up ${topup}` });
  }
}
