// What the faults happen to: one or two nodes, their database, and the sandbox they sell through.
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { freePort } from '../harness/dev.mjs';
import { HANG, bursar, cleanEnvironment, run, start, temporaryFolder } from '../harness/process.mjs';
import { pause } from '../harness/random.mjs';

/** What a node asks to hear of; the others of Stripe's events say nothing to it. */
const EVENTS = ['checkout.session.completed', 'checkout.session.expired', 'charge.refunded', 'refund.created', 'refund.updated', 'refund.failed', 'payment_intent.succeeded'];

/** One request; throws if nothing was answered within the time. */
export function send(agent, base, method, address, { token, key, body, form, seconds = HANG } = {}) {
  const payload = form ? new URLSearchParams(form).toString() : body && JSON.stringify(body);
  const headers = {
    ...(token && { authorization: `Bearer ${token}` }),
    ...(key && { 'idempotency-key': key }),
    ...(payload && { 'content-type': form ? 'application/x-www-form-urlencoded' : 'application/json', 'content-length': Buffer.byteLength(payload) }),
  };
  return new Promise((resolve, reject) => {
    const request = http.request(`${base}${address}`, { agent, method, headers }, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(parts).toString();
        const isJson = response.headers['content-type']?.startsWith('application/json');
        resolve({ status: response.statusCode, headers: response.headers, text, body: isJson ? JSON.parse(text) : undefined });
      });
    });
    const timer = setTimeout(() => request.destroy(Object.assign(new Error('nothing was answered in time'), { code: 'SLOW' })), seconds * 1000);
    request.on('error', reject);
    request.on('close', () => {
      clearTimeout(timer);
      reject(new Error('the connection was closed'));
    });
    request.end(payload);
  });
}

/** A process of the program, killed and started again on one port. */
class Process {
  constructor(args, { env = {}, cwd, ready, shell }) {
    Object.assign(this, { args, env, cwd, ready, shell, starts: 0 });
  }

  /** Begins to start; `serving` says when it serves. */
  begin() {
    // A limit for the size of files must not kill the process, as it does unless it was told otherwise before it began.
    const [command, args] = this.shell ? ['sh', ['-c', `${this.shell}; exec "$@"`, 'sh', bursar, ...this.args]] : [bursar, this.args];
    this.program = start(args, { env: this.env, cwd: this.cwd, command });
    this.starts += 1;
    this.serving = this.program.line((text) => this.ready.test(text) && text);
    this.serving.catch(() => {});
  }

  async start() {
    this.begin();
    return this.serving;
  }

  kill() {
    return this.program.kill();
  }
}

/** What is common to all: asking nodes and sandbox, and running commands on the database. */
class Site {
  agent = new http.Agent({ keepAlive: true });
  processes = [];

  /** A request to a node as an administrator, or as whoever has `token`. */
  ask(node, method, address, options = {}) {
    return send(this.agent, this.bases[node], method, address, { token: this.adminKey, ...options });
  }

  /**
   * A question to a node that has to be answered. Connections that a kill has left behind are tried out first; and readers that
   * asked while the database was away may still be waiting for it, until they give it up.
   */
  async get(node, address) {
    for (const began = Date.now(); ; await pause(50)) {
      const answer = await this.ask(node, 'GET', address, { seconds: HANG }).catch((error) => error);
      if (answer.status === 200) return answer.body;
      const mayPass = answer.code === 'ECONNRESET' || answer.status === 503;
      if (!mayPass || Date.now() - began > HANG * 1000) throw new Error(`GET ${address}: ${answer.status ?? answer} ${answer.text}`);
    }
  }

  /** All items of a list, page by page. */
  async all(node, address) {
    const items = [];
    for (let cursor = ''; ;) {
      const page = await this.get(node, `${address}${address.includes('?') ? '&' : '?'}limit=100${cursor}`);
      items.push(...page.items);
      if (!page.has_more) return items;
      cursor = `&cursor=${encodeURIComponent(page.next)}`;
    }
  }

  stripe(method, address, form) {
    return send(this.agent, this.stripeBase, method, address, { token: this.stripeKey, form });
  }

  /** A command on the database; the nodes may be running, and so may what this test process carries to and from them. */
  async run(...args) {
    const output = { stdout: '', stderr: '' };
    const child = spawn(bursar, args, { env: cleanEnvironment(this.database), stdio: ['ignore', 'pipe', 'pipe'] });
    for (const name of ['stdout', 'stderr']) child[name].on('data', (part) => (output[name] += part));
    const timer = setTimeout(() => child.kill('SIGKILL'), 300_000);
    const status = await new Promise((resolve) => child.once('close', resolve));
    clearTimeout(timer);
    return { status, ...output };
  }

  /** Whether Stripe and the books agree on everything up to now. */
  reconcile(...args) {
    return this.run('reconcile', '--server', this.bases[0], '--admin-key', this.adminKey, '--to', new Date(Date.now() + 60_000).toISOString(), ...args);
  }

  end() {
    this.isOver = true;
    this.processes.forEach(({ program }) => program?.kill());
    this.agent.destroy();
  }
}

/** `bursar serve`: one node for each address of a database, else one on a file; and a sandbox. */
export class Service extends Site {
  static async open({ urls, data, sells = true, env = {}, shell } = {}) {
    const site = new Service();
    const folder = temporaryFolder('faults');
    site.folder = folder;
    site.data = data ?? path.join(folder, 'data');
    // Tools look at the database itself, whatever lies between it and the nodes.
    site.database = urls ? { DATABASE_URL: urls.tools ?? urls[0], BURSAR_DATA: site.data } : { BURSAR_DATA: site.data };
    const made = run(['key', 'create', '--admin'], { env: site.database });
    if (made.status !== 0) throw new Error(made.stderr);
    site.adminKey = made.stdout.trim().split('\n').at(-1);
    const ports = await Promise.all((urls ?? [undefined]).map(freePort));
    site.bases = ports.map((port) => `http://127.0.0.1:${port}`);
    const stripe = sells ? await site.openSandbox(folder) : {};
    site.nodes = ports.map((port, node) => {
      const place = urls ? { DATABASE_URL: urls[node], BURSAR_DATA: path.join(folder, `node-${node}`) } : { BURSAR_DATA: site.data };
      const all = { BURSAR_BASE_URL: site.bases[node], BURSAR_LISTEN: `127.0.0.1:${port}`, BURSAR_LOG: 'error', ...place, ...stripe, ...env };
      return new Process(['serve', ...(sells ? [] : ['--without-payments'])], { env: all, cwd: folder, ready: /serving on/, shell });
    });
    site.processes.push(...site.nodes);
    await Promise.all(site.nodes.map((node) => node.start()));
    return site;
  }

  async openSandbox(folder) {
    const listen = `127.0.0.1:${await freePort()}`;
    const args = ['sandbox', '--listen', listen, '--data', path.join(folder, 'sandbox'), '--print-json'];
    this.sandbox = new Process(args, { cwd: folder, ready: /^\{/ });
    this.processes.push(this.sandbox);
    const told = JSON.parse(await this.sandbox.start());
    this.stripeBase = told.stripe_api_base;
    this.stripeKey = told.stripe_secret_key;
    // Every node hears of everything: with two of them each event comes twice, at the same time.
    const secrets = [];
    for (const base of this.bases) {
      const form = [['url', `${base}/v1/payment.stripe/webhook`], ...EVENTS.map((event) => ['enabled_events[]', event])];
      secrets.push((await this.stripe('POST', '/v1/webhook_endpoints', form)).body.secret);
    }
    return {
      STRIPE_SECRET_KEY: this.stripeKey, STRIPE_API_BASE_URL: this.stripeBase, STRIPE_WEBHOOK_SECRET: secrets.join(','),
      // What webhooks did not bring in time is asked for.
      BURSAR_RECONCILE_EVENTS_SECONDS: '5',
    };
  }
}

/** `bursar dev`: service and sandbox in one process, which die together. */
export class Dev extends Site {
  static async open() {
    const site = new Dev();
    const folder = temporaryFolder('faults');
    site.data = path.join(folder, 'data');
    site.database = { BURSAR_DATA: site.data };
    const listen = `127.0.0.1:${await freePort()}`;
    const env = { BURSAR_RECONCILE_EVENTS_SECONDS: '5', BURSAR_LOG: 'error' };
    site.nodes = [new Process(['dev', '--listen', listen, '--data', site.data], { env, cwd: folder, ready: /Bursar is running/ })];
    site.processes = site.nodes;
    await site.nodes[0].start();
    const told = JSON.parse(fs.readFileSync(path.join(site.data, 'credentials.json'), 'utf8'));
    site.bases = [told.base_url];
    site.adminKey = told.admin_key;
    site.stripeBase = told.stripe_api_base;
    site.stripeKey = told.stripe_secret_key;
    return site;
  }
}
