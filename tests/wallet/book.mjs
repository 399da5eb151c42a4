// What the clients of the crash test know: what they asked for, what was acknowledged, and what must therefore be in the wallets.
import assert from 'node:assert/strict';

/** What was asked for, by its `ref`: one movement of a wallet each, or none. */
export class Book {
  constructor() {
    this.asked = new Map();
    this.holds = new Map();
  }

  /** A charge, or the settlement of a hold, before it is sent for the first time. */
  ask(ref, user, credits) {
    this.asked.set(ref, { ref, user, credits, charge: undefined, seen: undefined });
  }

  /** The service has said that it is done, under this id; `after` is the balance it named. */
  acknowledge(ref, charge, after) {
    const known = this.asked.get(ref);
    assert.ok(known.charge === undefined || known.charge === charge, `${ref} was acknowledged as ${known.charge} and as ${charge}`);
    Object.assign(known, { charge, after });
  }

  /** Whether it was found in the history when the history was read last. */
  wasSeen(ref) {
    return this.asked.get(ref).seen !== undefined;
  }

  /** A hold before it is asked for; what is known of it is noted on what this gives back. */
  reserve(ref, user, credits) {
    const hold = { ref, user, credits, id: undefined, progress: 0, isEnding: false, isReleased: false, seen: false };
    this.holds.set(ref, hold);
    return hold;
  }

  /** Movements of a wallet that are new in its history, oldest first: each was asked for, is as it was asked for, and is there once. */
  read(user, lines) {
    for (const line of lines) {
      if (line.kind === 'grant') continue;
      const known = this.asked.get(line.ref);
      assert.ok(known, `nobody asked for ${JSON.stringify(line)}`);
      assert.equal(known.seen, undefined, `${line.ref} happened twice: ${known.seen} and ${line.transaction_id}`);
      assert.deepEqual([line.user_id, line.credits], [known.user, -known.credits], line.ref);
      known.seen = line.transaction_id;
      known.balance = line.credits_after;
    }
  }

  /** Everything that was acknowledged has been seen, under the id and with the balance that were named. */
  checkAcknowledged() {
    for (const { ref, charge, after, seen, balance } of this.asked.values()) {
      if (charge === undefined) continue;
      assert.deepEqual([seen, balance], [charge, after], `${ref} was acknowledged`);
    }
  }

  /** The open holds of a user are those that were asked for and not ended; which they must be, and may be. */
  checkOpen(user, open) {
    for (const { ref, hold_id, credits, progress } of open) {
      const known = this.holds.get(ref);
      assert.ok(known, `nobody asked for the hold ${ref}`);
      assert.deepEqual([user, hold_id, credits], [known.user, known.id ?? hold_id, known.credits], ref);
      assert.ok(progress >= known.progress, `${ref}: the progress ${known.progress} was acknowledged, and it is ${progress}`);
      known.seen = true;
    }
    const ids = new Set(open.map(({ hold_id }) => hold_id));
    assert.equal(ids.size, open.length);
    for (const known of this.holds.values())
      if (known.user === user && known.id && !known.isEnding) assert.ok(ids.has(known.id), `${known.ref} was acknowledged and is gone`);
  }

  /** What a user has spent by what was seen. */
  spent(user) {
    return [...this.asked.values()].filter((one) => one.user === user && one.seen).reduce((sum, { credits }) => sum + credits, 0);
  }

  count(test) {
    return [...this.asked.values()].filter(test).length;
  }
}
