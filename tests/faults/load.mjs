// Clients as a product's servers and its customers are: many at once, each asking again under the same key until it is answered.
import assert from 'node:assert/strict';
import { HANG } from '../harness/process.mjs';
import { pause } from '../harness/random.mjs';

const HOT = 'hot';
const UNIFORM = Array.from({ length: 16 }, (_, number) => `w${number}`);
/** Wallets that run dry, so that refusals are remembered, too. */
const POOR = ['poor0', 'poor1'];
/** Small grants, so that charges go across their borders, and one that lasts. */
const SMALL = { many: 10, credits: 100 };
const LARGE = 50_000_000;

/** Whoever is not answered after so many milliseconds, however often he asks, never is. */
const LONGEST = 300_000;

/** Statuses that say nothing was decided. Anything else of 500 and above is a fault of the service. */
const OUTAGES = new Set([502, 503]);

/** Nobody will say any more whether it was done. */
class Abandoned extends Error {}

export class Load {
  counts = { asked: 0, cut: 0, slow: 0, outage: 0, limited: 0, replayed: 0, repeated: 0, abandoned: 0, purchases: 0, refunds: 0, longest: 0, codes: {} };
  over = false;
  sellsNoMore = false;
  underWay = 0;
  opened = Promise.resolve();
  answered = [];

  /** `slowest`: how many seconds a client waits for an answer before it asks again. */
  constructor(site, book, dice, { clients = 12, shoppers = 3, slowest = HANG, think = 15 } = {}) {
    Object.assign(this, { site, book, dice, clients, shoppers: site.stripeKey ? shoppers : 0, slowest, think });
  }

  /** Fills the wallets. */
  async open() {
    const give = (user, credits, priority, number) => this.grant(`open-${user}-${number}`, { user_id: user, credits, priority }, 0);
    for (const user of [HOT, ...UNIFORM.slice(0, 4)])
      await Promise.all(Array.from({ length: SMALL.many }, (_, number) => give(user, SMALL.credits, 10, number)));
    await Promise.all([HOT, ...UNIFORM].map((user) => give(user, LARGE, 90, 'large')));
    await Promise.all(POOR.map((user) => give(user, 2_000, 50, 'poor')));
    this.tokens = [];
    for (let shopper = 0; shopper < this.shoppers; shopper += 1) {
      const made = await this.site.ask(0, 'POST', '/v1/keys/create', { body: { role: 'user', user_id: `shop${shopper}` } });
      this.tokens.push(made.body.api_key);
    }
  }

  /** Begins; `failed` is set when a client has found something wrong. */
  start() {
    const workers = Array.from({ length: this.clients }, (_, client) => this.spend(client));
    this.tokens.forEach((token, shopper) => workers.push(this.shop(shopper, token)));
    this.ended = Promise.all(workers);
    this.ended.catch((error) => (this.failed ??= error));
  }

  check() {
    if (this.failed) throw this.failed;
  }

  /** Lets everybody finish what was begun. */
  async finish() {
    this.over = true;
    this.release?.();
    await this.ended;
  }

  /** Nobody sends anything until `resume`; returns when nothing is under way. */
  async quiet() {
    this.opened = new Promise((resolve) => (this.release = resolve));
    while (this.underWay > 0) {
      this.check();
      await pause(5);
    }
  }

  resume() {
    this.release();
  }

  home(client) {
    return client % this.site.nodes.length;
  }

  /** One try. Nothing: it was not answered, or by an outage. */
  async attempt(node, method, address, options) {
    await this.opened;
    // One has found something wrong: the others need not go on until they are tired.
    if (this.failed || this.site.isOver) throw this.failed ?? new Error('the test has ended');
    this.underWay += 1;
    this.counts.asked += 1;
    const began = Date.now();
    try {
      const answer = await this.site.ask(node, method, address, { seconds: this.slowest, ...options });
      if (answer.status === 429) {
        this.counts.limited += 1;
        await pause(1000 * Number(answer.headers['retry-after']));
        return undefined;
      }
      if (answer.status < 500) return answer;
      const error = answer.body?.error;
      const isSaidWell = error ? error.code && error.type === 'api_error' && error.request_id : answer.text.startsWith('<!doctype html>');
      assert.ok(OUTAGES.has(answer.status) && isSaidWell, `${method} ${address}: ${answer.status} ${answer.text}`);
      this.counts.outage += 1;
      const code = error?.code ?? 'page';
      if (code === 'recovery_mode') assert.fail(`nothing is lost, and yet: ${JSON.stringify((await this.site.get(node, '/v1/payment.stripe/reconcile')).recovery)}`);
      this.counts.codes[code] = (this.counts.codes[code] ?? 0) + 1;
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      this.counts[error.code === 'SLOW' ? 'slow' : 'cut'] += 1;
    } finally {
      this.underWay -= 1;
      // Milliseconds that anybody has waited for an answer.
      this.counts.longest = Math.max(this.counts.longest, Date.now() - began);
    }
    return undefined;
  }

  /**
   * Asks until there is an answer. `ref` is the effect by which the journal shows whether it was done: what was in the journal
   * when everything stood still is answered as a repetition. Gives up now and then, if `mayAbandon`.
   */
  async insist(client, method, address, options, { ref, mayAbandon = false } = {}) {
    let node = this.dice.chance(0.05) ? this.home(client + 1) : this.home(client);
    const began = Date.now();
    for (;;) {
      const answer = await this.attempt(node, method, address, options);
      if (answer) {
        const isReplayed = answer.headers['idempotent-replayed'] === 'true';
        if (isReplayed) this.counts.replayed += 1;
        if (ref && this.book.wasSeen(ref)) assert.ok(isReplayed, `${ref} was in the journal, and is answered as if it were new`);
        return answer;
      }
      if (mayAbandon && this.dice.chance(0.03)) {
        this.counts.abandoned += 1;
        throw new Abandoned();
      }
      assert.ok(Date.now() - began < LONGEST, `${method} ${address}: no answer for too long`);
      if (this.dice.chance(0.5)) node = (node + 1) % this.site.nodes.length;
      await pause(5 + this.dice.random() * 40);
    }
  }

  /** A request that changes something, under a key; its first answer must come again whenever it is asked again. */
  async order(client, address, body, key, extra = {}) {
    const request = { client, address, options: { body, key, token: extra.token ?? this.site.adminKey } };
    const answer = await this.insist(client, 'POST', address, request.options, extra);
    request.first = { status: answer.status, body: withoutId(answer.body) };
    if (extra.isRemembered ?? true) this.answered[this.counts.asked % 500] = request;
    return answer;
  }

  /** Asks once more for something that was answered long ago. */
  async repeat(client) {
    const request = this.answered.length > 0 ? this.dice.pick(this.answered) : undefined;
    if (!request) return;
    const again = await this.attempt(this.home(client + this.dice.upTo(2)), 'POST', request.address, request.options);
    if (!again) return;
    this.counts.repeated += 1;
    assert.deepEqual({ status: again.status, body: withoutId(again.body) }, request.first, `${request.address} ${request.options.key}: another answer`);
  }

  anyUser() {
    const choice = this.dice.random();
    if (choice < 0.4) return HOT;
    return choice < 0.5 ? this.dice.pick(POOR) : this.dice.pick(UNIFORM);
  }

  async spend(client) {
    for (let number = 0; !this.over; number += 1) {
      const choice = this.dice.random();
      const name = `${client}-${number}`;
      try {
        if (choice < 0.5) await this.charge(client, name);
        else if (choice < 0.62) await this.batch(client, name);
        else if (choice < 0.75) await this.hold(client, name);
        else if (choice < 0.82) await this.grant(name, { user_id: this.anyUser(), credits: this.dice.upTo(60), priority: this.dice.upTo(90) }, client);
        else if (choice < 0.86) await this.correct(client, name);
        else await this.repeat(client);
      } catch (error) {
        if (!(error instanceof Abandoned)) throw error;
      }
      await pause(this.dice.random() * this.think);
    }
  }

  /** Notes an effect, asks for it, and notes what came of it. */
  async effect(client, ref, kind, [user, credits], address, body, key, read) {
    this.book.ask(ref, kind, user, credits);
    const answer = await this.orAbandon([ref], () => this.order(client, address, body, key, { ref, mayAbandon: true }));
    if (answer.status === 402) this.book.refused(ref);
    else {
      assert.equal(answer.status, 200, `${address} ${JSON.stringify(body)}: ${answer.text}`);
      this.book.done(ref, ...read(answer.body));
    }
  }

  async orAbandon(refs, ask) {
    try {
      return await ask();
    } catch (error) {
      if (error instanceof Abandoned) refs.forEach((ref) => this.book.abandon(ref));
      throw error;
    }
  }

  charge(client, ref) {
    const body = { user_id: this.anyUser(), credits: this.dice.upTo(150), ref };
    return this.effect(client, ref, 'charge', [body.user_id, -body.credits], '/v1/balance/charge', body, ref, (made) => [made.charge_id, made.balance_after]);
  }

  grant(ref, body, client) {
    return this.effect(client, ref, 'grant', [body.user_id, body.credits], '/v1/balance/grants/create', { ...body, ref }, ref, (made) => [made.grant_id]);
  }

  correct(client, ref) {
    const [kind, sign] = this.dice.chance(0.5) ? ['add', 1] : ['sub', -1];
    const body = { user_id: this.anyUser(), credits: this.dice.upTo(20), ref };
    return this.effect(client, ref, kind, [body.user_id, sign * body.credits], `/v1/balance/${kind}`, body, ref, (made) => [made.transaction_id, made.credits]);
  }

  async batch(client, name) {
    const charges = Array.from({ length: 1 + this.dice.upTo(9) }, (_, number) => {
      const charge = { user_id: this.anyUser(), credits: this.dice.upTo(100), ref: `${name}/${number}` };
      this.book.ask(charge.ref, 'charge', charge.user_id, -charge.credits);
      return { ...charge, idempotency_key: charge.ref };
    });
    const refs = charges.map(({ ref }) => ref);
    const body = { charges, atomic: this.dice.chance(0.5) };
    const answer = await this.orAbandon(refs, () => this.order(client, '/v1/balance/charge/batch', body, name, { mayAbandon: true }));
    if (answer.status === 402) {
      assert.ok(body.atomic);
      refs.forEach((ref) => this.book.refused(ref));
      return;
    }
    assert.equal(answer.status, 200, answer.text);
    answer.body.items.forEach((item, number) => {
      if (item.error) this.book.refused(refs[number]);
      else this.book.done(refs[number], item.charge_id, item.balance_after);
    });
  }

  /** Reserved, reported on now and then, and settled for less, all, or more; or given back; some are left open. */
  async hold(client, name) {
    const body = { user_id: this.anyUser(), credits: this.dice.upTo(200), ref: name, expires_in: 86_400 };
    const hold = { ref: name, user: body.user_id, credits: body.credits, progress: 0 };
    this.book.holds.set(name, hold);
    const made = await this.order(client, '/v1/balance/holds/create', body, name, { mayAbandon: true });
    if (made.status === 402) return;
    assert.equal(made.status, 200, made.text);
    const { hold_id } = made.body;
    hold.id = hold_id;
    if (this.dice.chance(0.3)) {
      const credits = this.dice.upTo(body.credits);
      const reported = await this.attempt(this.home(client), 'POST', '/v1/balance/holds/progress', { body: { hold_id, credits } });
      if (reported?.status === 200) hold.progress = credits;
    }
    if (this.dice.chance(0.05)) return;
    hold.isEnding = true;
    const ref = `${name}/end`;
    if (this.dice.chance(0.25)) {
      const released = await this.order(client, '/v1/balance/holds/release', { hold_id }, ref);
      assert.equal(released.body.status, 'released', released.text);
    } else {
      const credits = this.dice.upTo(body.credits * 2);
      await this.effect(client, ref, 'settle', [body.user_id, -credits], '/v1/balance/holds/settle', { hold_id, credits, ref }, ref, (settled) => [settled.charge_id, settled.balance_after]);
      // Refused for what goes beyond it, it stays open.
      if (this.book.effects.get(ref).state !== 'done') return;
    }
    hold.isEnded = true;
  }

  async shop(shopper, token) {
    for (let number = 0; !this.over && !this.sellsNoMore; number += 1) {
      await this.purchase(shopper, token, `shop${shopper}-${number}`, number);
      await pause(this.dice.random() * 10 * this.think);
    }
  }

  /** From the wish to the credit, and now and then back. Every other customer comes to the success page; the rest rely on webhooks. */
  async purchase(shopper, token, name, number) {
    const amount = 100 + number;
    const wished = await this.order(shopper, '/v1/balance/topups/create', { amount, ref: name }, `${name}/topup`, { token });
    assert.equal(wished.status, 200, wished.text);
    const { topup_id } = wished.body;
    const opened = await this.order(shopper, '/v1/payment.stripe/checkout/create', { topup_id }, `${name}/checkout`, { token, isRemembered: false });
    assert.equal(opened.status, 200, opened.text);
    const { stripe_checkout_session_id: session, payment_id: payment } = opened.body;
    const topup = { id: topup_id, user: `shop${shopper}`, credits: amount, payment, isPaying: true, isCredited: false, refunds: [] };
    this.book.topups.set(topup_id, topup);
    await this.pay(session, amount);
    if (number % 2 === 0) await this.insist(shopper, 'GET', `/v1/payment.stripe/redirect/success?session_id=${session}`, {});
    for (const began = Date.now(); !topup.isCredited; await pause(100)) {
      const { body } = await this.insist(shopper, 'GET', '/v1/balance/topups/me?limit=5', { token });
      topup.isCredited = body.items.find((one) => one.topup_id === topup_id)?.status === 'paid';
      assert.ok(Date.now() - began < LONGEST, `${name} was paid and not credited`);
    }
    this.counts.purchases += 1;
    if (this.dice.chance(0.5)) await this.refund(shopper, name, topup, this.dice.upTo(amount));
  }

  async refund(shopper, name, topup, amount) {
    const refund = { amount, isDone: false };
    topup.refunds.push(refund);
    const body = { payment_id: topup.payment, amount_minor: amount, ref: name };
    const made = await this.order(shopper, '/v1/payment.stripe/refunds/create', body, `${name}/refund`, { isRemembered: false });
    assert.equal(made.status, 200, made.text);
    refund.isDone = made.body.status === 'succeeded';
    this.counts.refunds += 1;
  }

  /** As the customer on Stripe's page: tries again when nothing answers, and looks whether it was paid. */
  async pay(session, amount) {
    const form = { payment_method: 'pm_card_visa', expected_amount: String(amount) };
    for (const began = Date.now(); ; await pause(20)) {
      await this.opened;
      if (this.site.isOver) throw new Error('the test has ended');
      const paid = await this.site.stripe('POST', `/v1/payment_pages/${session}/confirm`, form).catch(() => undefined);
      if (paid?.status === 200) return;
      const found = await this.site.stripe('GET', `/v1/checkout/sessions/${session}`).catch(() => undefined);
      if (found?.body?.payment_status === 'paid') return;
      assert.ok(Date.now() - began < LONGEST, `the session ${session} cannot be paid: ${paid?.text}`);
    }
  }
}

/** An answer without what names this one request. */
function withoutId(body) {
  if (!body?.error) return body;
  const { request_id: _, ...error } = body.error;
  return { ...body, error };
}
