// A person buys credits by clicking: the page at `/`, the hosted checkout page of the sandbox, and back.
import assert from 'node:assert/strict';
import { after, afterEach, beforeEach, test } from 'node:test';
import { checkBarriers, openBrowser, openPage, picture } from '../harness/browser.mjs';
import { startDev } from '../harness/dev.mjs';

const dev = await startDev();
after(() => dev.program.stop());
const browser = await openBrowser();
after(() => browser.close());
const home = dev.credentials.base_url;

let page;
beforeEach(async () => {
  page = await openPage(browser);
  await page.goto(home);
});
afterEach(async () => {
  const complaints = page.complaints();
  await page.context().close();
  assert.deepEqual(complaints, []);
});

const balance = async (on = page) => Number((await on.getByRole('status', { name: 'Balance' }).locator('output').innerText()).replace(/\D/g, ''));
const balanceIs = (credits) => page.waitForFunction((wanted) => document.querySelector('#credits')?.textContent.replace(/\D/g, '') === wanted, String(credits));
/** Refusals are answered with an error status, which the browser repeats on its console. */
const forgiveRefusals = () => {
  const rest = page.complaints().filter((text) => !/Failed to load resource: the server responded with a status of 402/.test(text));
  assert.deepEqual(rest, []);
};

/** Chooses an amount and goes to the checkout page. Gives the balance before. */
async function order(credits) {
  await page.getByRole('heading', { name: 'Buy credits' }).waitFor();
  const before = await balance();
  await page.getByLabel('Other amount').fill(String(credits));
  await page.getByRole('button', { name: /^Buy .* credits for/ }).click();
  await page.getByRole('heading', { name: 'Pay', exact: true }).waitFor();
  return before;
}

async function fillCard(number, { expiry = '12 / 34', code = '123' } = {}) {
  if (await page.getByLabel('Email').first().isEditable()) await page.getByLabel('Email').first().fill('ada@example.com');
  await page.getByLabel('Card number').fill(number);
  await page.getByLabel('Expiry').fill(expiry);
  await page.getByLabel('CVC').fill(code);
}
const payButton = () => page.locator('#card-form').getByRole('button', { name: /^Pay/ });

async function returned() {
  await page.waitForURL(/redirect\/success/);
  await page.getByRole('heading', { level: 1 }).waitFor();
}
const backHome = () => page.getByRole('link', { name: 'Back to your credits' }).click();

test('a card that works: the balance goes up', async () => {
  await checkBarriers(page);
  const before = await order(500);
  assert.match(await page.getByText('$5.00').first().innerText(), /5\.00/);
  await checkBarriers(page);
  await fillCard('4242 4242 4242 4242');
  await picture(page, 'checkout', { documented: true });
  await payButton().click();
  await returned();
  assert.match(await page.locator('main').innerText(), new RegExp(`${before + 500}|${(before + 500).toLocaleString('en-US')}`));
  await checkBarriers(page);
  await picture(page, 'success');
  await backHome();
  await balanceIs(before + 500);
  assert.match(await page.locator('#history-rows tr').first().innerText(), /Purchase[\s\S]*\+500/);
  await checkBarriers(page);
  await picture(page, 'home', { documented: true });
});

test('one of the offered amounts, and a test card by a click', async () => {
  await page.getByRole('heading', { name: 'Buy credits' }).waitFor();
  const before = await balance();
  await page.getByRole('radio', { name: /1,000/ }).check();
  await page.getByRole('button', { name: 'Buy 1,000 credits for $10.00' }).click();
  await page.getByText('Test cards', { exact: true }).click();
  await page.getByRole('button', { name: /4242 4242 4242 4242/ }).click();
  if (await page.getByLabel('Email').first().isEditable()) await page.getByLabel('Email').first().fill('ada@example.com');
  await payButton().click();
  await returned();
  await backHome();
  await balanceIs(before + 1000);
});

test('a declined card, then one that works', async () => {
  const before = await order(600);
  await fillCard('4000 0000 0000 0002');
  await payButton().click();
  await page.getByRole('alert').getByText(/declined/i).waitFor();
  await checkBarriers(page);
  forgiveRefusals();
  await fillCard('4000 0000 0000 9995');
  await payButton().click();
  await page.getByRole('alert').getByText(/insufficient funds/i).waitFor();
  forgiveRefusals();
  await fillCard('4242424242424242');
  await payButton().click();
  await returned();
  await backHome();
  await balanceIs(before + 600);
});

test('typing mistakes are shown at their fields, and nothing is charged', async () => {
  const before = await order(500);
  await fillCard('4242 4242 4242 4241', { expiry: '01 / 20', code: '1' });
  await payButton().click();
  await page.locator('[aria-invalid=true]').first().waitFor();
  assert.ok((await page.locator('[aria-invalid=true]').count()) >= 3);
  await checkBarriers(page);
  page.complaints();
  await page.goto(home);
  await balanceIs(before);
});

test('3D Secure: approved', async () => {
  const before = await order(700);
  await fillCard('4000 0027 6000 3184');
  await payButton().click();
  await page.getByRole('button', { name: 'Approve' }).waitFor();
  await checkBarriers(page);
  await page.getByRole('button', { name: 'Approve' }).click();
  await returned();
  await backHome();
  await balanceIs(before + 700);
});

test('3D Secure: failed, the page lets one try again', async () => {
  const before = await order(700);
  await fillCard('4000 0027 6000 3184');
  await payButton().click();
  await page.getByRole('button', { name: 'Fail' }).click();
  await page.getByRole('alert').waitFor();
  forgiveRefusals();
  await page.goto(home);
  await balanceIs(before);
});

test('a bank debit that pays later', async () => {
  const before = await order(800);
  await page.locator('summary', { hasText: 'Bank debit' }).click();
  await page.getByRole('button', { name: /by bank debit/ }).click();
  await returned();
  // The page says that it takes fifteen seconds.
  assert.equal(await dev.credits(), before);
  await checkBarriers(page);
  await dev.control('clock', { advance_seconds: 60 });
  await backHome();
  await balanceIs(before + 800);
});

test('giving up leads back, and the order can be paid later', async () => {
  const before = await order(900);
  await page.getByRole('link', { name: /cancel/i }).click();
  await page.waitForURL(/redirect\/cancel/);
  await checkBarriers(page);
  await backHome();
  await balanceIs(before);
  await page.getByRole('button', { name: 'Pay for 900 credits' }).click();
  await page.getByRole('heading', { name: 'Pay', exact: true }).waitFor();
  await fillCard('4242 4242 4242 4242');
  await payButton().click();
  await returned();
  await backHome();
  await balanceIs(before + 900);
});

test('an amount that is not for sale is refused on the spot', async () => {
  await page.getByRole('heading', { name: 'Buy credits' }).waitFor();
  await page.getByLabel('Other amount').fill('7');
  await page.getByRole('button', { name: 'Buy', exact: true }).click();
  await page.getByRole('alert').getByText(/whole number/).waitFor();
  await checkBarriers(page);
});

test('the balance changes by itself while one watches', async () => {
  const before = await balance().then(async () => dev.credits());
  await dev.admin('POST', '/v1/balance/add', { user_id: dev.credentials.user_id, amount: 11, note: 'gift' });
  await balanceIs(before + 11);
});

test('narrow, dark, and by keyboard alone', async () => {
  const phone = await openPage(browser, { viewport: { width: 360, height: 740 }, colorScheme: 'dark' });
  await phone.goto(home);
  await phone.getByRole('heading', { name: 'Buy credits' }).waitFor();
  await checkBarriers(phone);
  assert.ok(await phone.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the page is wider than the screen');
  await picture(phone, 'home-dark');
  await phone.getByLabel('Other amount').focus();
  await phone.keyboard.type('500');
  await phone.keyboard.press('Enter');
  await phone.getByRole('heading', { name: 'Pay', exact: true }).waitFor();
  await checkBarriers(phone);
  assert.ok(await phone.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the checkout page is wider than the screen');
  assert.deepEqual(phone.complaints(), []);
  await phone.context().close();
});
