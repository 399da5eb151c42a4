/** Numbers that look random and come again with the same seed (mulberry32): small, and good enough to spread moments. */
export class Dice {
  constructor(seed) {
    this.state = seed;
  }

  /** From 0 to below 1. */
  random() {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 1 to `most`. */
  upTo(most) {
    return 1 + Math.floor(this.random() * most);
  }

  pick(list) {
    return list[Math.floor(this.random() * list.length)];
  }

  chance(probability) {
    return this.random() < probability;
  }
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
