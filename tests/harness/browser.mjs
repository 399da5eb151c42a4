// A real browser that notices what a person would not: console errors, blocked content, barriers for assistive technology.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';
import { repository } from './process.mjs';

const axe = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** The browser of the machine; nothing is downloaded. */
function executable() {
  const names = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];
  const places = (process.env.PATH ?? '').split(path.delimiter).flatMap((folder) => names.map((name) => path.join(folder, name)));
  const found = [process.env.CHROMIUM, ...places].find((file) => file && fs.existsSync(file));
  assert.ok(found, 'no chromium on PATH: install it (apt-get install chromium) or name it in CHROMIUM');
  return found;
}

export async function openBrowser() {
  return chromium.launch({
    executablePath: executable(),
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

/** A page of its own session. `complaints()` hands over what the browser found wrong since it was last asked. */
export async function openPage(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1120, height: 860 }, locale: 'en-US', timezoneId: 'UTC', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const found = [];
  await page.exposeFunction('reportBlocked', (what) => found.push(`blocked by the page's own policy: ${what}`));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => globalThis.reportBlocked(`${event.violatedDirective} ${event.blockedURI}`));
  });
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) found.push(`console ${message.type()}: ${message.text()} (${message.location().url})`);
  });
  page.on('pageerror', (error) => found.push(`exception: ${error.message}`));
  page.on('requestfailed', (request) => {
    if (request.failure()?.errorText !== 'net::ERR_ABORTED') found.push(`request failed: ${request.url()} ${request.failure()?.errorText}`);
  });
  return Object.assign(page, { complaints: () => found.splice(0) });
}

/** The page is usable by everybody, as far as a program can tell. */
export async function checkBarriers(page) {
  // In one go: a page that waits for news loads itself again.
  const look = () => page.evaluate(`${axe}\naxe.run(document, { resultTypes: ['violations'] })`).catch((error) => {
    if (!error.message.includes('because of a navigation')) throw error;
    return page.waitForLoadState().then(look);
  });
  const { violations } = await look();
  const told = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
  assert.deepEqual(told, [], `barriers on ${page.url()}`);
}

/** A picture of the page, in target/screenshots; one that the documents show goes to docs/images when asked for (UPDATE_SCREENSHOTS=1). */
export async function picture(page, name, { documented = false } = {}) {
  const update = documented && process.env.UPDATE_SCREENSHOTS === '1';
  const folder = path.join(repository, ...(update ? ['docs', 'images'] : ['target', 'screenshots']));
  fs.mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: path.join(folder, `${name}.png`), animations: 'disabled' });
}
