// What people do in the console, in a headless Chromium: node console_stories.mjs (see
// test_console_browser.py, which starts deferd and tells the rest by CONSOLE_*). Prints one line for
// each step; exits 1 at the first that is not as it should be.

import { createRequire } from "node:module";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import assert from "node:assert/strict";

const require = createRequire(process.env.CONSOLE_MODULES + "/");
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const base = process.env.CONSOLE_URL;
const shots = process.env.CONSOLE_SHOTS;
const tokens = JSON.parse(process.env.CONSOLE_TOKENS);
const messageId = process.env.CONSOLE_MESSAGE;

const browser = await chromium.launch({
  executablePath: process.env.CONSOLE_CHROMIUM,
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
});

const pages = {
  now: "/",
  subject: "/subject?name=bad.example",
  track: "/track?outcome=failed&outcome=deferred&since=168h",
  message: "/message?id=" + messageId,
  queue: "/queue",
  destinations: "/destinations?since=24h",
  explain: "/explain?text=" + encodeURIComponent("550 5.1.1 <anna@far.example>: user unknown"),
  policy: "/policy",
};

// A page of a browser of its own. What its console says and whom it calls is noted.
async function open(role, options = {}) {
  const context = await browser.newContext({ timezoneId: "Asia/Tokyo", viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.troubles = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.troubles.push(message.text());
  });
  page.on("pageerror", (error) => page.troubles.push(String(error)));
  page.on("dialog", (dialog) => page.troubles.push("a dialog: " + dialog.message()));
  page.on("request", (request) => {
    if (!request.url().startsWith(base)) page.troubles.push("left the origin: " + request.url());
  });
  await page.goto(base + "/");
  assert.equal(new URL(page.url()).pathname, "/login");
  await page.getByLabel("Token").fill(tokens[role]);
  await page.keyboard.press("Enter");
  await page.waitForURL(base + "/");
  return page;
}

function done(page, step) {
  assert.deepEqual(page.troubles, [], step);
  console.log("ok", step);
}

async function accessible(page, name) {
  // Of the test, not of the page: past its Content-Security-Policy.
  await page.evaluate(axe);
  const found = await page.evaluate(async () => (await window.axe.run()).violations);
  const serious = found.filter((one) => ["serious", "critical"].includes(one.impact));
  assert.deepEqual(serious.map((one) => [one.id, one.nodes.map((node) => node.html)]), [], name);
}

for (const scheme of ["light", "dark"]) {
  const page = await open("admin", { colorScheme: scheme });
  for (const [name, path] of Object.entries(pages)) {
    await page.goto(base + path);
    await page.locator("h1").waitFor();
    if (shots) await page.screenshot({ path: `${shots}/${name}-${scheme}.png`, fullPage: true });
    await accessible(page, `${name}, ${scheme}`);
  }
  await page.goto(base + "/");
  done(page, `every page, ${scheme}: no error of the console, nothing serious by axe`);
  await page.context().close();
}

{
  const page = await open("admin", { viewport: { width: 360, height: 740 } });
  for (const [name, path] of Object.entries(pages)) {
    await page.goto(base + path);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    if (shots) await page.screenshot({ path: `${shots}/${name}-narrow.png`, fullPage: true });
    assert.ok(wide <= 360, `${name} is ${wide} pixels wide at 360`);
  }
  done(page, "every page fits 360 pixels");
  await page.context().close();
}

{
  const page = await open("support", { javaScriptEnabled: false });
  await page.getByRole("link", { name: "bad.example", exact: true }).first().click();
  await page.getByText("CANNOT SEND").waitFor();
  assert.equal(await page.getByText("Exempt", { exact: true }).count(), 0);
  await page.locator("summary", { hasText: "Unblock" }).click();
  await page.getByLabel("Reason (optional)").first().fill("<b>cleaned</b>");
  await page.getByRole("button", { name: "Unblock" }).click();
  await page.getByRole("status").waitFor();
  await page.getByText("CAN SEND").waitFor();
  await page.getByText("<b>cleaned</b>").waitFor();
  done(page, "support unblocks, without script, and the reason stays text");
  await page.context().close();
}

{
  const page = await open("viewer");
  await page.getByText("Nothing waits for a person.").or(page.getByText("Needs a person")).waitFor();
  const streamed = page.waitForResponse((answer) => answer.url().endsWith("/live"));
  await page.reload();
  await streamed;
  execFileSync(process.env.CONSOLE_DEFERCTL, ["block", "live.example", "--for", "1h", "--reason", "a test"]);
  await page.getByRole("link", { name: "live.example" }).waitFor();
  await page.goto(base + "/subject?name=live.example");
  assert.equal(await page.locator("main form").count(), 0);
  done(page, "a block appears without a reload; a viewer has no buttons");

  await page.goto(base + "/");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  await page.getByRole("button", { name: "Log out" }).click();
  await page.waitForURL(base + "/login");
  await page.goto(base + "/policy");
  assert.equal(new URL(page.url()).pathname, "/login");
  done(page, "the keyboard reaches the content; who logged out is out");
  await page.context().close();
}

{
  const page = await open("reseller");
  await page.goto(base + "/subject?name=bad.example");
  await page.getByRole("alert").getByText("is for other domains").waitFor();
  await page.goto(base + "/");
  assert.equal(await page.getByText("bad.example").count(), 0);
  done(page, "a reseller sees nobody else's domain");
}

await browser.close();
