// `bursar serve` without payments, as a product's own server meets it: an address, an admin key, tokens of its users.
import path from 'node:path';
import { createHmac } from 'node:crypto';
import { Dev, freePort } from '../harness/dev.mjs';
import { run, start, temporaryFolder } from '../harness/process.mjs';

const JWT_SECRET = 'a secret that the product shares with this server';

const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token of a user, as the product issues them. */
export function tokenOf(user) {
  const head = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub: user, exp: Math.floor(Date.now() / 1000) + 3600 })}`;
  return `${head}.${createHmac('sha256', JWT_SECRET).update(head).digest('base64url')}`;
}

/** A service that is started, stopped and killed on one folder and one port. */
export class Service extends Dev {
  static async open(settings = {}) {
    const data = path.join(temporaryFolder('wallet'), 'data');
    const port = await freePort();
    const made = run(['key', 'create', '--admin', '--data', data]);
    if (made.status !== 0) throw new Error(made.stderr);
    const base = `http://127.0.0.1:${port}`;
    const service = new Service(undefined, data, { base_url: base, admin_key: made.stdout.trim().split('\n').at(-1) });
    service.environment = { BURSAR_BASE_URL: base, BURSAR_LISTEN: `127.0.0.1:${port}`, BURSAR_DATA: data, BURSAR_JWT_HS256_SECRET: JWT_SECRET, ...settings };
    await service.start();
    return service;
  }

  async start() {
    this.program = start(['serve', '--without-payments'], { env: this.environment, cwd: path.dirname(this.data) });
    await this.program.line((text) => /serving on/.test(text));
  }

  /** A `POST` as the product's server sends it; the answer whatever it is. */
  post(address, body, key) {
    return this.call('POST', address, { token: this.credentials.admin_key, body, headers: key ? { 'idempotency-key': key } : {} });
  }

  get(address) {
    return this.admin('GET', address);
  }

  /** All items of a list, page by page; stops behind the first that `isKnown`. */
  async all(address, isKnown = () => false) {
    const items = [];
    for (let cursor = ''; ;) {
      const page = await this.get(`${address}&limit=100${cursor}`);
      const known = page.items.findIndex(isKnown);
      items.push(...(known < 0 ? page.items : page.items.slice(0, known)));
      if (known >= 0 || !page.has_more) return items;
      cursor = `&cursor=${encodeURIComponent(page.next)}`;
    }
  }

  /** A user's wallet of credits. */
  async wallet(user) {
    const { items } = await this.get(`/v1/balance/users?user_id=${user}`);
    return items.find(({ unit }) => unit === 'credit');
  }

  /** What `bursar audit --chain` says; the service may be running. */
  audit(...args) {
    return run(['audit', '--data', this.data, '--chain', ...args]);
  }
}
