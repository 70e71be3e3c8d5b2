// Chromium, driven: the demo's page as a person uses it, and a page of our own behind the gateway.
// Usage: node browser.mjs demo|compression URL [WEBSOCKET_URL]; prints what it saw as JSON.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [what, url, socketUrl] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), 'weir-chromium-'));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
const page = context.pages()[0] ?? await context.newPage();
page.setDefaultTimeout(20000);
const problems = [];
page.on('pageerror', (error) => problems.push(String(error)));
page.on('console', (message) => {
  // The 429 of a budget request is shown as an error by the browser, and is what we came for.
  if (message.type() === 'error' && !message.text().includes('429')) problems.push(message.text());
});
const requests = [];
page.on('request', (request) => requests.push(request.url()));

const number = async (selector) => Number(await page.textContent(selector));
const until = (condition, argument) => page.waitForFunction(condition, argument);
const textIs = (selector, text) => until(([s, t]) => document.querySelector(s).textContent === t, [selector, text]);

const lastDenied = () => page.evaluate(() => [...document.querySelectorAll('#log .denied')].at(-1).textContent);

async function demo() {
  const seen = {};
  await page.goto(url);
  await textIs('#state', 'connected');
  await until(() => document.querySelector('#messages .limit').textContent !== '?');
  seen.limit = await number('#messages .limit');
  seen.atFirst = await number('#messages .left');

  // By keyboard alone: the field is reached with Tab, and Enter sends.
  await page.focus('body');
  for (let n = 0; n < 20; n += 1) {
    await page.keyboard.press('Tab');
    if (await page.evaluate(() => document.activeElement.id === 'text')) break;
  }
  await page.keyboard.type('typed by hand');
  await page.keyboard.press('Enter');
  await textIs('#echoed', '1');
  seen.echo = await page.textContent('#log li:last-child');
  seen.afterOne = await number('#messages .left');
  await page.click('#send-one');
  await textIs('#echoed', '2');
  seen.afterTwo = await number('#messages .left');

  await page.click('#ask');
  await until(() => document.querySelector('#messages .note').textContent.startsWith('X-RateLimit') &&
    !document.querySelector('#messages .note').textContent.includes('since'));
  seen.asked = await number('#messages .left');

  await page.click('#send-thirty');
  await until(() => Number(document.querySelector('#echoed').textContent) +
    Number(document.querySelector('#denied').textContent) === 32);
  seen.echoed = await number('#echoed');
  seen.denied = await number('#denied');
  seen.afterThirty = await number('#messages .left');
  seen.answer = await lastDenied();

  await page.click('#connect-twelve');
  await until(() => !document.querySelector('#connect-twelve').disabled);
  seen.opened = await number('#opened');
  seen.refused = await number('#refused');
  seen.close = await lastDenied();
  seen.state = await page.textContent('#state');

  // Narrow and wide, light and dark: nothing runs out of the page, and text can be told from its ground.
  seen.overflow = [];
  seen.colours = [];
  for (const width of [320, 1400]) {
    for (const colorScheme of ['light', 'dark']) {
      await page.setViewportSize({ width, height: 800 });
      await page.emulateMedia({ colorScheme });
      seen.overflow.push(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth));
      seen.colours.push(await page.evaluate(() => {
        const style = getComputedStyle(document.body);
        return [style.color, style.backgroundColor];
      }));
    }
  }
  if (process.env.SCREENSHOTS) {
    await page.screenshot({ path: join(process.env.SCREENSHOTS, 'dark-wide.png'), fullPage: true });
    await page.emulateMedia({ colorScheme: 'light' });
    await page.screenshot({ path: join(process.env.SCREENSHOTS, 'light-wide.png'), fullPage: true });
    await page.setViewportSize({ width: 360, height: 800 });
    await page.screenshot({ path: join(process.env.SCREENSHOTS, 'light-narrow.png'), fullPage: true });
  }
  seen.unnamed = await page.evaluate(() => [...document.querySelectorAll('button, input')]
    .filter((e) => !(e.textContent.trim() || e.labels?.length)).length);
  seen.requests = requests;
  return seen;
}

// Chromium always offers permessage-deflate and keeps its window: the one that a dropped message would poison.
async function compression() {
  await page.goto(url);
  return page.evaluate((target) => new Promise((resolve, reject) => {
    const socket = new WebSocket(target);
    const answers = [];
    const text = (n) => JSON.stringify({ [n % 2 ? 'ai' : 'n']: n, words: 'the same words again and again '.repeat(20) });
    socket.onopen = () => socket.send(text(0));
    socket.onmessage = (event) => {
      answers.push(event.data);
      if (answers.length < 20) socket.send(text(answers.length));
      else socket.close(3000, 'done');
    };
    socket.onerror = () => reject(new Error('the WebSocket failed'));
    socket.onclose = (event) => resolve({ answers, extensions: socket.extensions, code: event.code, reason: event.reason });
  }), socketUrl);
}

try {
  const seen = await ({ demo, compression })[what]();
  console.log(JSON.stringify({ ...seen, problems }));
} finally {
  await context.close();
  rmSync(profile, { recursive: true, force: true });
}
