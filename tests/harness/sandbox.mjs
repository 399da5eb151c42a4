// A sandbox of its own for one test file, the unmodified `stripe` client for it, and a place that receives webhooks.
// Every answer and every event is held against Stripe's own description.
import http from 'node:http';
import path from 'node:path';
import Stripe from 'stripe';
import { start, temporaryFolder, until } from './process.mjs';
import { judgeAnswer, judgeEvent, version } from '../stripe-schema/judge.mjs';

/** Starts `bursar sandbox`, with an account of the version the judge knows, and gives its address and secret key. */
export async function startSandbox({ args = ['--api-version', version], data = temporaryFolder('sandbox'), listen = '127.0.0.1:0' } = {}) {
  const program = start(['sandbox', '--listen', listen, '--data', path.join(data, 'sandbox'), '--print-json', ...args]);
  const told = await program.line((text) => text.startsWith('{') && JSON.parse(text));
  return { program, base: told.stripe_api_base, key: told.stripe_secret_key, data };
}

/** What a request asked to expand, from its query or its form body. */
function expansions(pathname, form) {
  const fields = [...new URLSearchParams(pathname.split('?')[1] ?? ''), ...new URLSearchParams(form)];
  return fields.filter(([name]) => /^expand(\[|$)/.test(name)).map(([, value]) => value);
}

/** The client's own transport with an ear: it hands on what it gets and lets the judge read it. */
function listening(complaints, answers) {
  const transport = Stripe.createNodeHttpClient();
  return {
    getClientName: () => transport.getClientName(),
    async makeRequest(host, port, address, method, headers, form, protocol, timeout) {
      const response = await transport.makeRequest(host, port, address, method, headers, form, protocol, timeout);
      const hear = async () => {
        const body = await response.toJSON();
        const pathname = address.split('?')[0];
        const status = response.getStatusCode();
        const answer = { method, pathname, status, body, headers: response.getHeaders(), expand: expansions(address, form) };
        answers.push(answer);
        complaints.push(...judgeAnswer(answer).map((text) => `${method} ${pathname} ${status}: ${text}`));
        return body;
      };
      return {
        getStatusCode: () => response.getStatusCode(),
        getHeaders: () => response.getHeaders(),
        getRawResponse: () => response.getRawResponse(),
        toStream: (done) => response.toStream(done),
        toJSON: hear,
      };
    },
  };
}

/**
 * The official client, pointed at the sandbox. `complaints()` hands over what the judge found wrong since it was last
 * asked; `answers` keeps every answer with its headers.
 */
export function clientOf({ base, key }, options = {}) {
  const { hostname, port } = new URL(base);
  const found = [];
  const answers = [];
  const stripe = new Stripe(key, {
    host: hostname, port, protocol: 'http', telemetry: false, maxNetworkRetries: 0, httpClient: listening(found, answers), ...options,
  });
  return { stripe, answers, complaints: () => found.splice(0) };
}

/** A request as a program without a client library sends it. */
export async function raw({ base, key }, method, address, { form, headers = {}, auth = `Bearer ${key}` } = {}) {
  const response = await fetch(`${base}${address}`, {
    method,
    body: form === undefined ? undefined : new URLSearchParams(form).toString(),
    headers: {
      ...(auth ? { authorization: auth } : {}),
      ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
      ...headers,
    },
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, body: text ? JSON.parse(text) : undefined };
}

/**
 * A webhook receiver. It keeps every delivery; `answerWith` is the status it gives, a number or a function of the
 * delivery. `event(type, test)` waits for one; `complaints(secret)` judges all that came and checks the signatures.
 */
export async function startReceiver() {
  const deliveries = [];
  const receiver = { answerWith: 200, deliveries };
  const server = http.createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      const bytes = Buffer.concat(parts);
      const delivery = { path: request.url, headers: request.headers, bytes, event: JSON.parse(bytes), at: Date.now() };
      deliveries.push(delivery);
      response.statusCode = typeof receiver.answerWith === 'function' ? receiver.answerWith(delivery) : receiver.answerWith;
      response.end('received');
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  receiver.url = `http://127.0.0.1:${server.address().port}/hook`;
  receiver.events = (type) => deliveries.filter(({ event }) => !type || event.type === type);
  receiver.event = (type, test = () => true) =>
    until(() => receiver.events(type).find(({ event }) => test(event)), { what: `a delivery of ${type}` });
  receiver.complaints = (secret) =>
    deliveries.flatMap(({ event, bytes, headers }) => {
      const told = judgeEvent(event).map((text) => `${event.type}: ${text}`);
      try {
        Stripe.webhooks.constructEvent(bytes, headers['stripe-signature'], secret);
      } catch (error) {
        told.push(`${event.type}: ${error.message.split('\n')[0]}`);
      }
      return told;
    });
  receiver.close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return receiver;
}
