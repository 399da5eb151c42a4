// The sandbox's control page, by hand.
import assert from 'node:assert/strict';
import { after, afterEach, test } from 'node:test';
import { checkBarriers, openBrowser, openPage, picture } from '../harness/browser.mjs';
import { startDev } from '../harness/dev.mjs';
import { until } from '../harness/process.mjs';

const dev = await startDev();
after(() => dev.program.stop());
const browser = await openBrowser();
after(() => browser.close());
const page = await openPage(browser);
const control = `${dev.credentials.stripe_api_base}/sandbox`;
afterEach(() => assert.deepEqual(page.complaints(), []));

test('an event is triggered and delivered', async () => {
  await page.goto(control);
  await checkBarriers(page);
  await page.getByLabel('Event', { exact: true }).selectOption('checkout.session.completed');
  await page.getByRole('button', { name: 'Trigger' }).click();
  await until(async () => {
    await page.goto(control);
    return (await page.locator('#deliveries').innerText()).includes('checkout.session.completed');
  }, { what: 'the delivery on the page' });
  await checkBarriers(page);
  await picture(page, 'sandbox');
});

test('the clock moves', async () => {
  await page.goto(control);
  const offset = await page.locator('#offset').innerText();
  await page.getByRole('button', { name: 'Advance' }).click();
  await page.waitForFunction((before) => document.querySelector('#offset').textContent !== before, offset);
});

test('a fault is set and cleared', async () => {
  await page.goto(control);
  await page.getByLabel('What happens').selectOption('drop');
  await page.getByRole('button', { name: 'Add' }).click();
  await page.locator('#faults li').waitFor();
  await checkBarriers(page);
  await page.getByRole('button', { name: /^Clear/ }).click();
  await page.locator('#faults').waitFor({ state: 'detached' });
});
