// What the clients know: what they asked for, what was acknowledged, and what must therefore be in the journal.
import assert from 'node:assert/strict';

/** Reasons of transactions that are known by their `ref`. */
const BY_REF = new Set(['charge', 'settle', 'grant', 'add', 'sub']);

const toUnits = (number) => (Object.is(number, -0) ? 0 : number);

/** What a transaction moves into a wallet of credits, or out of it. */
function movement({ postings }) {
  let user;
  let credits = 0;
  let after;
  for (const { from, to, amount, unit } of postings) {
    if (unit !== 'credit') continue;
    for (const [side, sign] of [[from, -1], [to, 1]]) {
      if (side.kind !== 'wallet') continue;
      assert.ok(user === undefined || user === side.owner, 'one transaction, one wallet');
      user = side.owner;
      credits += sign * amount;
      after = side.balance_after;
    }
  }
  return { user, credits, after };
}

export class Book {
  /** Effects by their `ref`: one transaction each, or none. */
  effects = new Map();
  holds = new Map();
  topups = new Map();
  checkpoints = [];

  /** What is going to be asked for; positive credits come in. */
  ask(ref, kind, user, credits) {
    this.effects.set(ref, { ref, kind, user, credits, state: 'asked', seen: undefined });
  }

  /** The service says that it is done: under which id, and with which balance. */
  done(ref, id, after) {
    Object.assign(this.effects.get(ref), { state: 'done', id, after });
  }

  refused(ref) {
    this.effects.get(ref).state = 'refused';
  }

  /** Nobody will ask again: it has happened once or never. */
  abandon(ref) {
    this.effects.get(ref).state = 'abandoned';
  }

  /** Whether it was in the journal when that was last looked at. */
  wasSeen(ref) {
    return this.effects.get(ref)?.seen !== undefined;
  }

  /** Holds the journal, as `bursar export` writes it, against all of this. `isFinal`: nobody asks for anything any more. */
  compare(lines, isFinal) {
    for (const effect of this.effects.values()) effect.seen = undefined;
    const wallets = new Map();
    const found = { topups: new Map(), payments: new Map(), returned: new Map() };
    const balances = new Map();
    for (const line of lines) {
      if (line.type === 'transaction') this.take(line, wallets, found);
      else if (line.kind === 'wallet') balances.set(line.owner, line.balance);
    }
    assert.deepEqual(new Map([...balances].sort()), new Map([...wallets].sort()), 'balances are what the postings come to');
    for (const effect of this.effects.values()) checkEffect(effect, isFinal);
    for (const topup of this.topups.values()) checkTopup(topup, found, isFinal);
    return wallets;
  }

  take(transaction, wallets, found) {
    const { reason, ref, transaction_id: id } = transaction;
    const { user, credits, after } = movement(transaction);
    for (const { from, to, amount, unit } of transaction.postings) {
      for (const [side, sign] of [[from, -1], [to, 1]]) {
        if (side.kind !== 'wallet' || unit !== 'credit') continue;
        const balance = toUnits((wallets.get(side.owner) ?? 0) + sign * amount);
        assert.equal(side.balance_after, balance, `${side.owner} ${id}: the balance is the one before and the movement`);
        wallets.set(side.owner, balance);
      }
    }
    if (BY_REF.has(reason)) {
      const effect = this.effects.get(ref);
      assert.ok(effect, `nobody asked for ${JSON.stringify(transaction)}`);
      assert.equal(effect.seen, undefined, `${ref} happened twice: ${effect.seen} and ${id}`);
      assert.deepEqual([reason, user, credits], [effect.kind, effect.user, effect.credits], ref);
      Object.assign(effect, { seen: reason === 'grant' ? transaction.postings.at(-1).grant_id : id, balance: after });
    } else if (reason === 'topup') {
      note(found.topups, transaction.cause.id, credits, user);
    } else if (reason === 'payment') {
      note(found.payments, transaction.cause.id, transaction.postings[0].amount);
    } else if (reason === 'refund') {
      // Money and credits go back in a transaction each.
      const payment = /payment:(\S+)/.exec(transaction.tags)[1];
      if (user !== undefined) found.returned.set(payment, (found.returned.get(payment) ?? 0) - credits);
    } else {
      assert.fail(`nobody asked for ${JSON.stringify(transaction)}`);
    }
  }

  /** The open holds of all wallets are those that were asked for and not ended; gives what is held of each wallet. */
  compareHolds(open, isFinal) {
    const held = new Map();
    const refs = new Set();
    for (const { ref, hold_id, user_id, credits, progress } of open) {
      const hold = this.holds.get(ref);
      assert.ok(hold, `nobody asked for the hold ${ref}`);
      assert.ok(!refs.has(ref), `the hold ${ref} is there twice`);
      refs.add(ref);
      assert.deepEqual([user_id, hold_id, credits], [hold.user, hold.id ?? hold_id, hold.credits], ref);
      assert.ok(!hold.isEnded, `${ref} was ended, and that was acknowledged`);
      assert.ok(progress >= hold.progress, `${ref}: the progress ${hold.progress} was acknowledged, and it is ${progress}`);
      held.set(user_id, (held.get(user_id) ?? 0) + credits);
    }
    for (const hold of this.holds.values()) {
      const mustBeOpen = hold.id && !hold.isEnding;
      if (mustBeOpen) assert.ok(refs.has(hold.ref), `the hold ${hold.ref} was acknowledged and is gone`);
      if (isFinal && hold.isEnded) assert.ok(!refs.has(hold.ref));
    }
    return held;
  }

  count(test) {
    return [...this.effects.values()].filter(test).length;
  }
}

function note(found, id, amount, user) {
  assert.ok(!found.has(id), `${id} was booked twice`);
  found.set(id, { amount, user });
}

function checkEffect({ ref, state, seen, id, after, balance }, isFinal) {
  if (state === 'done') assert.deepEqual([seen, balance], [id, after ?? balance], `${ref} was acknowledged`);
  if (state === 'refused') assert.equal(seen, undefined, `${ref} was refused and is there`);
  if (isFinal) assert.notEqual(state, 'asked', `${ref} has no answer`);
}

function checkTopup(topup, found, isFinal) {
  const { id, user, credits, payment, isPaying, isCredited, refunds } = topup;
  const credited = found.topups.get(id);
  if (isCredited || isFinal) {
    assert.deepEqual(credited, { amount: credits, user }, `top-up ${id} is credited once`);
    assert.equal(found.payments.get(payment)?.amount, credits, `the payment ${payment} is booked once`);
  } else if (credited) {
    assert.ok(isPaying, `top-up ${id} was credited and nobody paid`);
    assert.equal(credited.amount, credits);
  }
  const returned = found.returned.get(payment) ?? 0;
  const least = refunds.filter(({ isDone }) => isDone || isFinal).reduce((sum, { amount }) => sum + amount, 0);
  const most = refunds.reduce((sum, { amount }) => sum + amount, 0);
  assert.ok(returned >= least && returned <= most, `${payment}: ${returned} was taken back, ${least} to ${most} was refunded`);
}
