// Walks the manual's site (argument: its folder) in Chromium, as files, by keyboard where a reader would use it.
import { chromium } from 'playwright-core';

const folder = process.argv[2];
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
const problems = [];
const requests = new Set();

async function open(path, options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
  page.on('request', (request) => requests.add(request.url()));
  await page.goto(`file://${folder}/${path}`);
  return page;
}

const overflow = {};
const measure = async (name, page) => {
  overflow[name] = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
};
const colour = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
const WIDE = { width: 1400, height: 900 };
const NARROW = { width: 360, height: 740 };

const page = await open('reference/configuration.html', { viewport: WIDE, colorScheme: 'light' });
await measure('wide', page);
const wide = await page.evaluate(() => document.querySelector('details.pages').open);
await page.keyboard.press('/');
await page.keyboard.type('inspect_bytes');
const found = await page.locator('#site-results a strong').allTextContents();
await page.locator('#site-search').fill('no such words anywhere');
const nothing = await page.locator('#site-results').textContent();
await page.locator('#site-search').fill('penalties');
await page.keyboard.press('ArrowDown');
await page.keyboard.press('ArrowUp');
await Promise.all([page.waitForURL(/penalt/), page.keyboard.press('Enter')]);
const went = page.url();
const light = await colour(page);

const small = await open('recipes/nginx.html', { viewport: NARROW, colorScheme: 'dark' });
await measure('narrow recipe', small);
const narrow = await small.evaluate(() => document.querySelector('details.pages').open);
await small.locator('details.pages > summary').focus();
await small.keyboard.press('Enter');
const opened = await small.evaluate(() => document.querySelector('details.pages').open);
const dark = await colour(small);
for (const path of ['index.html', 'performance.html', 'reference/configuration.html', 'troubleshooting.html']) {
  await small.goto(`file://${folder}/${path}`);
  await measure(`narrow ${path}`, small);
}
await browser.close();
console.log(JSON.stringify({
  problems, requests: [...requests], found, nothing, went, overflow, menu: { wide, narrow, opened }, light, dark,
}));
