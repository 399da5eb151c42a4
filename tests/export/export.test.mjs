// The journal as bookkeeping programs read it: hledger and Beancount take the export, prove its sums by themselves, and have
// what Bursar has.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import { after, before, test } from 'node:test';
import { startDev } from '../harness/dev.mjs';
import { cleanEnvironment, repository, run, temporaryFolder, until } from '../harness/process.mjs';

const python = path.join(process.env.CARGO_TARGET_DIR ?? path.join(repository, 'target'), 'test-venv', 'bin', 'python');
const folder = temporaryFolder('export');

// Ids that want to be one account, parts of others, or an end of a line; and texts that want to be more than texts.
const USERS = ['a-b', 'a--b', 'a.b', 'A.B', 'a:b', '-', '0', 'auth0|5f7c', '@|+=/:.-_', 'x'.repeat(128)];
const NOTES = [
  '"; \\ "', 'x\n2020-01-01 open Assets:Evil USD\n', '"\n2020-01-01 * "evil"\n  Assets:Evil  1 USD\n  Equity:Evil\n', '\\', '\\n',
  'date:2001-01-01, date2:2002-02-02, reason:void, id: ltx_evil', '[2003-03-03]', '  two  blanks  ', '; a comment', '%41%0A', '\t', '日本 naïve ☃ \u2028 \u0301',
  'include "/etc/passwd"', '#tag ^link', '= 5 USD',
];
const UNITS = { credit: 0, usd: 2, jpy: 0, kwd: 3 };

let shop;
let lines;
const file = (name) => path.join(folder, name);

function tool(command, args, { fails = false } = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', env: cleanEnvironment({ LANG: 'C.UTF-8' }), maxBuffer: 1 << 28 });
  if (error) throw error;
  assert.equal(status !== 0, fails, `${command} ${args.join(' ')}: ${status}\n${stdout.slice(0, 4000)}${stderr}`);
  return stdout + (fails ? stderr : '');
}

function exported(data, format, name, ...more) {
  const { status, stdout, stderr } = run(['export', '--data', data, '--format', format, '--to', file(name), ...more]);
  assert.deepEqual([status, stdout, stderr], [0, '', '']);
  assert.equal(fs.existsSync(`${file(name)}.unfinished`), false);
  return file(name);
}

const jsonLines = (name) => fs.readFileSync(name, 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line));
const beancount = (name) => JSON.parse(tool(python, [path.join(repository, 'tests/export/read.py'), name]));

/** Every balance that is not zero, as hledger computes it. */
function hledger(name) {
  const rows = tool('hledger', ['-f', name, 'balance', '--flat', '-N', '-O', 'csv']).trim().split('\n').slice(1);
  return Object.fromEntries(rows.map((row) => row.slice(1, -1).split('","')).map(([account, amount]) => [account, amount.split(' ')[0]]));
}

const CLASSES = { wallet: 'Liabilities', clearing: 'Assets', spent: 'Income', breakage: 'Income', granted: 'Expenses', adjusted: 'Expenses' };

/** What an account is called, said once more and in another way than the program does. */
function nameOf({ kind, owner, unit }) {
  const noun = kind.split('_').map((word) => word[0].toUpperCase() + word.slice(1)).join('');
  const whose = [...owner].map((c) => (c === '-' ? '--' : /[A-Za-z0-9]/.test(c) ? c : `-${c.charCodeAt(0).toString(16).padStart(2, '0')}`)).join('');
  return [CLASSES[kind] ?? 'Equity', noun, ...(owner ? [`Of-${whose}`] : []), unit.toUpperCase()].join(':');
}

/** A number of smallest steps as bookkeepers write it. */
function written(account) {
  const isMoney = ['clearing', 'received'].includes(account.kind);
  const steps = BigInt(account.balance) * (isMoney ? 1n : -1n);
  const digits = String(steps < 0n ? -steps : steps).padStart(account.decimals + 1, '0');
  const cut = digits.length - account.decimals;
  return `${steps < 0n ? '-' : ''}${digits.slice(0, cut)}${account.decimals ? `.${digits.slice(cut)}` : ''}`;
}

const expected = (balances) => Object.fromEntries(balances.filter(({ balance }) => balance !== 0).map((account) => [nameOf(account), written(account)]));
const sorted = (object) => Object.fromEntries(Object.entries(object).sort());

before(async () => {
  shop = await startDev({ env: { BURSAR_ACTIONS: 'picture=10' } });
  const post = (address, body) => shop.admin('POST', address, body);
  let key = 0;
  const once = (body) => ({ ...body, idempotency_key: `key-${++key}` });
  const { topup, session } = await shop.order(500);
  await shop.pay(session, 500);
  await shop.finished(topup.topup_id);
  for (const [place, user_id] of USERS.entries()) {
    const said = { note: NOTES[place % NOTES.length], ref: NOTES[(place + 5) % NOTES.length], meta: { [NOTES[place]]: NOTES[(place + 2) % NOTES.length] } };
    for (const [unit, decimals] of Object.entries(UNITS)) await post('/v1/balance/grants/create', { user_id, unit, credits: 1000 + place + 7 * decimals, ...said });
    await post('/v1/balance/grants/create', { user_id, credits: 50, category: 'paid', source: 'bonus', expires_at: new Date(Date.now() + 6000).toISOString(), roll_over: { cap: 20, expires_in: 86400 }, priority: 99 });
    await post('/v1/balance/charge', once({ user_id, action: 'picture', quantity: place + 1, labels: ['team-red'], ...said }));
    await post('/v1/balance/charge', once({ user_id, unit: 'kwd', credits: 1000, ...said }));
    const { hold_id } = await post('/v1/balance/holds/create', once({ user_id, credits: 100 }));
    if (place % 2) await post('/v1/balance/holds/settle', { hold_id, credits: 30 + place, note: NOTES[place] });
    await post('/v1/balance/exchange', once({ user_id, from: { unit: 'credit', amount: 10 }, to: { unit: 'usd', amount: 99 } }));
    await post('/v1/balance/add', { user_id, credits: 5, note: NOTES[(place + 10) % NOTES.length] });
    await post('/v1/balance/sub', { user_id, credits: 3 });
  }
  const { grant_id } = await post('/v1/balance/grants/create', { user_id: 'poor', credits: 40 });
  await post('/v1/balance/grants/void', { grant_id });
  await post('/v1/balance/charge', once({ user_id: 'poor', credits: 77, allow_debt: true }));
  await until(async () => (await shop.admin('GET', '/v1/balance/history?kind=roll_over&limit=100')).items.length === 2 * USERS.length, { what: 'all that expires' });
  // The service goes on while it is exported.
  lines = jsonLines(exported(shop.data, 'jsonl', 'all.jsonl'));
});
after(() => shop?.program.kill());

const transactions = () => lines.filter(({ type }) => type === 'transaction');
const balances = () => lines.filter(({ type }) => type === 'balance');

test('nothing is left out, and balances are those that Bursar tells', async () => {
  assert.deepEqual(transactions().map(({ number }) => number), transactions().map((_, place) => place + 1));
  const numbers = transactions().flatMap(({ postings }) => postings.map(({ number }) => number));
  assert.deepEqual(numbers, numbers.map((_, place) => place + 1));
  const reasons = new Set(transactions().map(({ reason }) => reason));
  assert.deepEqual([...reasons].sort(), ['add', 'charge', 'exchange', 'expire', 'grant', 'payment', 'roll_over', 'settle', 'sub', 'topup', 'void']);
  const sums = new Map();
  const add = ({ kind, owner }, unit, amount) => sums.set(`${kind}/${owner}/${unit}`, (sums.get(`${kind}/${owner}/${unit}`) ?? 0) + amount);
  for (const { from, to, amount, unit } of transactions().flatMap(({ postings }) => postings)) {
    add(from, unit, -amount);
    add(to, unit, amount);
  }
  assert.deepEqual(balances().map(({ kind, owner, unit, balance }) => [`${kind}/${owner}/${unit}`, balance]).sort(), [...sums].sort());
  for (const { owner, unit, balance } of balances().filter(({ kind }) => kind === 'wallet')) {
    const { items } = await shop.admin('GET', `/v1/balance/history?limit=1&unit=${unit}&user_id=${encodeURIComponent(owner)}`);
    assert.equal(balance, items[0].credits_after, `${owner} ${unit}`);
  }
});

test('hledger takes it, proves it, and has the same', () => {
  const name = exported(shop.data, 'hledger', 'all.journal');
  tool('hledger', ['-f', name, 'check', '--strict']);
  assert.deepEqual(sorted(hledger(name)), sorted(expected(balances())));
  const printed = JSON.parse(tool('hledger', ['-f', name, 'print', '-O', 'json'])).filter(({ tcode }) => tcode);
  const told = (tags, tag) => decodeURIComponent(Object.fromEntries(tags)[tag] ?? '');
  assert.deepEqual(
    printed.map(({ tcode, tdate, tdate2, ttags }) => [tcode, tdate, tdate2, ...['id', 'reason', 'cause', 'note', 'ref', 'meta', 'tags'].map((tag) => told(ttags, tag))]),
    transactions().map((one) => [one.transaction_id, one.at.slice(0, 10), null, one.transaction_id, one.reason, one.cause ? `${one.cause.kind} ${one.cause.id}` : '', one.note, one.ref, one.meta, one.tags]),
  );
  assert.ok(NOTES.every((note) => transactions().some((one) => one.note === note || one.ref === note)), 'every nasty note was there');
});

test('Beancount takes it, proves it, and has the same', () => {
  const name = exported(shop.data, 'beancount', 'all.beancount');
  tool(path.join(path.dirname(python), 'bean-check'), [name]);
  const seen = beancount(name);
  assert.deepEqual(seen.errors, []);
  assert.deepEqual(sorted(seen.balances), sorted(expected(balances())));
  assert.equal(seen.assertions, balances().length);
  assert.equal(seen.grants, transactions().flatMap(({ postings }) => postings).filter(({ grant_id }) => grant_id).length);
  const told = ({ reason, cause, note, ref, meta, tags, at }) =>
    ({ reason, cause: cause ? `${cause.kind} ${cause.id}` : null, note: note || null, ref: ref || null, meta: meta || null, tags: tags || null, date: at.slice(0, 10) });
  assert.deepEqual(seen.said, Object.fromEntries(transactions().map((one) => [one.transaction_id, told(one)])));
});

/** A copy of the stopped service's folder, with something done to it by SQL. */
function copy(name, ...sql) {
  const data = file(name);
  fs.cpSync(shop.data, data, { recursive: true });
  const script = 'import sqlite3, sys\nbase = sqlite3.connect(sys.argv[1])\nfor sql in sys.argv[2:]: base.execute(sql)\nbase.commit()';
  tool(python, ['-c', script, path.join(data, 'bursar.db'), ...sql]);
  return data;
}

test('one step too much in one posting, and neither program takes it', async () => {
  assert.equal((await shop.program.stop()).code, 0);
  for (const reason of ['charge', 'grant', 'exchange']) {
    const { postings } = transactions().findLast(({ reason: other, postings: [{ unit }] }) => other === reason && (reason !== 'charge' || unit === 'kwd'));
    const data = copy(`wrong-${reason}`, `UPDATE posting SET amount = amount + 1 WHERE number = ${postings[0].number}`);
    const said = tool('hledger', ['-f', exported(data, 'hledger', `${reason}.journal`), 'check'], { fails: true });
    assert.match(said, /balance assertion/i);
    const { errors } = beancount(exported(data, 'beancount', `${reason}.beancount`));
    assert.ok(errors.length === 1 && errors[0].startsWith('Balance failed'), errors.join('\n'));
  }
});

test('parts by day begin with what was there before and contain everything once', () => {
  // The first half was three days ago; in the middle the clock stood back for one transaction.
  const half = Math.floor(transactions().length / 2);
  const days = (count) => count * 86_400_000_000;
  const data = copy('days', `UPDATE ledger_transaction SET at = at - ${days(3)} WHERE number <= ${half}`, `UPDATE ledger_transaction SET at = at - ${days(4)} WHERE number = ${half + 3}`);
  // Not the day of the last one: midnight may lie between.
  const today = transactions()[half].at.slice(0, 10);
  const parts = [['--until', today], ['--from', today]].map((range, place) => {
    const all = jsonLines(exported(data, 'jsonl', `part-${place}.jsonl`, ...range));
    const book = exported(data, 'hledger', `part-${place}.journal`, ...range);
    tool('hledger', ['-f', book, 'check', '--strict']);
    const seen = beancount(exported(data, 'beancount', `part-${place}.beancount`, ...range));
    assert.deepEqual(seen.errors, []);
    const ends = expected(all.filter(({ type }) => type === 'balance'));
    assert.deepEqual(sorted(hledger(book)), sorted(ends));
    assert.deepEqual(sorted(seen.balances), sorted(ends));
    return all;
  });
  const numbers = parts.flat().filter(({ type }) => type === 'transaction').map(({ number }) => number);
  assert.deepEqual(numbers, transactions().map(({ number }) => number));
  assert.deepEqual([parts[0].filter(({ type }) => type === 'transaction').length, parts[0].some(({ type }) => type === 'opening')], [half, false]);
  const openings = parts[1].filter(({ type }) => type === 'opening').map(({ type, ...account }) => account);
  assert.deepEqual(openings, parts[0].filter(({ type, balance }) => type === 'balance' && balance !== 0).map(({ type, ...account }) => account));
  // Wallets that were not touched any more are in the second part all the same.
  assert.deepEqual(expected(parts[1].filter(({ type }) => type === 'balance')), expected(balances()));
});

test('what cannot be exported is said, and leaves no file', () => {
  const wrong = [
    [['--format', 'hledger', '--data', file('nowhere')], /no database to export/],
    [['--format', 'jsonl', '--data', shop.data, '--from', '2027-01-02', '--until', '2027-01-02'], /is not before/],
    [['--format', 'jsonl', '--data', shop.data, '--to', file('no/such/folder')], /cannot be written/],
  ];
  for (const [args, why] of wrong) {
    const { status, stdout, stderr } = run(['export', ...args]);
    assert.deepEqual([status, stdout], [1, '']);
    assert.match(stderr, why);
  }
  const { stdout } = run(['export', '--format', 'jsonl', '--data', shop.data]);
  assert.equal(stdout, fs.readFileSync(file('all.jsonl'), 'utf8'));
  assert.equal(fs.statSync(file('all.jsonl')).mode & 0o777, 0o600);
});
