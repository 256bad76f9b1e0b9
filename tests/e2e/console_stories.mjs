// What people do in the console, in a headless Chromium: node console_stories.mjs (see
// test_console_browser.py, which starts deferd and tells the rest by CONSOLE_*). Prints one line for
// each step; exits 1 at the first that is not as it should be.

import { createRequire } from "node:module";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import assert from "node:assert/strict";

const require = createRequire(process.env.CONSOLE_MODULES + "/");
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const base = process.env.CONSOLE_URL;
const shots = process.env.CONSOLE_SHOTS;
const tokens = JSON.parse(process.env.CONSOLE_TOKENS);
const messages = JSON.parse(process.env.CONSOLE_MESSAGES);

const browser = await chromium.launch({
  executablePath: process.env.CONSOLE_CHROMIUM,
  args: ["--no-sandbox", "--disable-dev-shm-usage"],
});

const pages = {
  now: "/",
  subject: "/subject?name=bad.example",
  track: "/track?outcome=failed&outcome=deferred&since=168h",
  message: "/message?id=" + messages.failed,
  queue: "/queue",
  "queue-reasons": "/queue?by=reason",
  destinations: "/destinations?since=24h",
  explain: "/explain?text=" + encodeURIComponent("550 5.1.1 <anna@far.example>: user unknown"),
  policy: "/policy",
};

// A page of a browser of its own. What its console says and whom it calls is noted.
async function visit(path, options = {}) {
  const context = await browser.newContext({ timezoneId: "Asia/Tokyo", viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(60000);
  page.troubles = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.troubles.push(message.text());
  });
  page.on("pageerror", (error) => page.troubles.push(String(error)));
  page.on("dialog", (dialog) => page.troubles.push("a dialog: " + dialog.message()));
  page.on("request", (request) => {
    if (!request.url().startsWith(base)) page.troubles.push("left the origin: " + request.url());
  });
  await page.goto(base + path);
  return page;
}

// The same, with a log-in.
async function open(role, options = {}) {
  const page = await visit("/", options);
  assert.equal(new URL(page.url()).pathname, "/login");
  await page.getByLabel("Token").fill(tokens[role]);
  await page.keyboard.press("Enter");
  await page.waitForURL(base + "/");
  return page;
}

async function close(page) {
  await page.context().close();
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

async function picture(page, name) {
  if (shots) await page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
}

// As the manual shows it: the first screen, small.
async function manualPicture(page, name) {
  if (!shots) return;
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send("Page.captureScreenshot", { format: "webp", quality: 80 });
  writeFileSync(`${shots}/console-${name}.webp`, Buffer.from(data, "base64"));
}

const row = (page, text) => page.locator("tbody tr", { hasText: text });
async function has(where, ...texts) {
  const found = (await where.first().innerText()).replace(/\s+/g, " ");
  for (const text of texts) assert.ok(found.includes(text), `${text} is not in: ${found}`);
}

// What was done is in the ledger a moment later.
async function recorded(page, text) {
  for (const end = Date.now() + 20000; (await page.getByText(text).count()) === 0; await page.reload()) {
    assert.ok(Date.now() < end, `${text} is not recorded`);
  }
}

// Every page, as it looks.

for (const scheme of ["light", "dark"]) {
  const page = await open("admin", { colorScheme: scheme });
  for (const [name, path] of Object.entries(pages)) {
    await page.goto(base + path);
    await page.locator("h1").waitFor();
    await picture(page, `${name}-${scheme}`);
    if (scheme === (name === "message" ? "dark" : "light")) await manualPicture(page, name);
    await accessible(page, `${name}, ${scheme}`);
  }
  await page.goto(base + "/");
  done(page, `every page, ${scheme}: no error of the console, nothing serious by axe`);
  await page.getByRole("button", { name: "Log out" }).click();
  await page.waitForURL(base + "/login");
  await picture(page, `login-${scheme}`);
  await accessible(page, `login, ${scheme}`);
  await close(page);
}

{
  const page = await open("admin", { viewport: { width: 360, height: 740 } });
  for (const [name, path] of Object.entries(pages)) {
    await page.goto(base + path);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    await picture(page, `${name}-narrow`);
    assert.ok(wide <= 360, `${name} is ${wide} pixels wide at 360`);
  }
  done(page, "every page fits 360 pixels");

  await page.setViewportSize({ width: 794, height: 1123 });  // A4
  await page.emulateMedia({ media: "print", colorScheme: "light" });
  for (const [name, path] of Object.entries(pages)) {
    await page.goto(base + path);
    assert.ok(await page.locator("h1").isVisible(), name);
    for (const hidden of ["header", "footer", ".acts", ".filters"]) {
      for (const one of await page.locator(hidden).all()) assert.ok(!(await one.isVisible()), `${name}: ${hidden} in print`);
    }
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 794, `${name} is ${wide} pixels wide on paper`);
    if (name === "subject") await picture(page, "subject-print");
  }
  done(page, "every page prints: what it says, without what is clicked");
  await close(page);
}

// Help page B: the sentence, and the way to its cause.

{
  const page = await open("viewer");
  await has(row(page, "bad.example"), "blocked", "few");
  await has(page.locator(".table", { hasText: "Near a limit" }), "near.example", "3 of 5", "100% of 50%");
  await page.getByRole("link", { name: "bad.example", exact: true }).first().click();
  const banner = page.locator(".banner");
  await has(banner, "CANNOT SEND", "address", "bob@bad.example");  // the state, the result in words, the culprit
  await has(page.locator("main"), "8 of 5", "100% of 50%");  // N and X
  await has(page.locator("main"), "nobody0@far.example", "550 5.1.1");  // is the recipient right? the code
  assert.ok(await page.locator("svg.plot rect").count() > 0);
  assert.equal(await page.locator("main form").count(), 0, "a viewer has no buttons");
  done(page, "B: who is blocked, why, by whom and what is to be done");

  await page.goto(base + "/subject?name=typo.example");
  await has(page.locator("main"), "1 of 5");
  done(page, "B: one mistyped address, tried again and again, is one");

  await page.goto(base + "/track");
  for (const [box, state, address, others] of [
    ["Successes", "delivered", "sent@far.example", "failed@far.example"],
    ["In progress", "in progress", "kim@shop.example", "failed@far.example"],
    ["Deferred", "deferred", "deferring@far.example", "sent@far.example"],
    ["Failures", "failed", "failed@far.example", "sent@far.example"],
    ["Archived", "archived", "archived@far.example", "sent@far.example"],
    ["Filtered", "filtered", "filtered@far.example", "sent@far.example"],
    ["Rejected", "rejected", "rejected@far.example", "sent@far.example"],
    ["Blocked", "frozen", "kim@shop.example", "sent@far.example"],
    ["Failures", "expired", "expired@far.example", "sent@far.example"],
  ]) {
    await page.goto(base + "/track");
    await page.getByLabel(box, { exact: true }).check();
    await page.getByLabel("Charged to").fill("login:kim@shop.example");
    await page.getByRole("button", { name: "Show" }).click();
    await page.waitForURL(/outcome=/);
    const line = page.locator("tbody tr", { hasText: address }).filter({ hasText: state });
    await line.first().waitFor();
    assert.equal(await row(page, others).count(), 0, `${others} is no ${box}`);
    assert.equal(await line.first().evaluate((one) => one.classList.contains("undelivered")),
                 !["delivered", "archived"].includes(state), state);
    assert.equal(await line.first().locator(".state [aria-hidden]").count(), 1, "an icon with the word");
  }
  done(page, "B and A: each state has its filter, its word, its icon and its colour");

  await page.goto(base + "/track?recipient=" + encodeURIComponent("failed@far.example"));
  await has(row(page, "failed@far.example"), "failed", "kim@shop.example", "550 5.1.1");
  await page.goto(base + "/track?code=4.7.1&subject=shop.example");
  await has(row(page, "deferring@far.example"), "asked to wait");
  assert.equal(await row(page, "expired@far.example").count(), 0);
  await page.goto(base + "/track?mail_subject=to+be+told");
  await row(page, "failed@far.example").first().waitFor();
  await page.goto(base + "/track?subject=shop.example&without=reader");
  assert.equal(await row(page, "reader").count(), 0);
  await page.goto(base + "/track?class=reputation&subject=shop.example");
  await row(page, "own@list.example").first().waitFor();
  const started = page.waitForEvent("download");
  await page.getByRole("link", { name: "CSV" }).click();
  const saved = readFileSync(await (await started).path(), "utf8");
  assert.ok(saved.includes("own@list.example"));
  done(page, "B: by recipient, result, code, Subject: line and without some; a file of the rows");

  for (const [answer, ...told] of [
    ["451 Internal resource temporarily unavailable", "451", "1 to 60 minutes", "The recipient can permit the sender"],
    ["550 5.4.4 Host or domain name not found: no MX record", "MX"],
    ["450 4.7.1 too many failed attempts, rate limit reached", "rate"],
    ["550 No Such User Here", "Check the spelling"],
    ["452 Mailbox is full", "make room"],
    ["552 Message size 40000000 exceeds size limit 10000000 of server", "smaller"],
    ["452 4.3.1 Insufficient system resources", "Wait"],
    ["550 Please turn on SMTP Authentication in your mail client.", "MX records"],
    ["554 5.4.14 Hop count exceeded - possible mail loop", "loop"],
  ]) {
    await page.goto(base + "/explain");
    await page.getByRole("textbox", { name: "The answer of a mail server" }).fill(answer);
    await page.getByRole("button", { name: "Explain" }).click();
    await page.locator("dl.facts").waitFor();
    await has(page.locator("section.card"), "What to do", ...told);
  }
  done(page, "A and B: each answer of the help pages is explained");

  // Help page A: a message and its log.
  await page.goto(base + "/message?id=" + messages.failed);
  const decisive = page.locator(".decisive");
  assert.equal(await decisive.count(), 1);
  await has(decisive, "failed", "mx1.far.example [198.51.100.7]", "550 5.1.1 No such user here", "Meaning", "What to do");
  await has(page.locator(".life"), "451 4.7.1 Greylisted");
  done(page, "A: the log, its decisive line, and the three key facts");

  await page.goto(base + "/destinations?since=24h");
  await has(page.locator("main"), "Answers about this server", "192.0.2.25", "zen.spamhaus.org");
  done(page, "who refuses this server, and by which list");
  await close(page);
}

// Strangers' texts.

{
  const page = await open("viewer");
  for (const path of ["/subject?name=bad.example", "/track?subject=bad.example", "/message?id=" + messages.bad,
    "/subject?name=" + encodeURIComponent("<script>alert(1)</script>"), "/explain?text=" + encodeURIComponent("550 <img src=x onerror=alert(1)>")]) {
    await page.goto(base + path);
    await page.getByText(path.includes("script") ? "<script>" : "<img src=x").first().waitFor();
    assert.equal(await page.locator("img, main script, main iframe, [onerror]").count(), 0, path);
  }
  done(page, "hostile subjects, addresses and answers stay text");
  await close(page);
}

// What may be done, by role.

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

  await page.goto(base + "/message?id=" + messages.queued);
  assert.equal(await page.getByText("Discard").count(), 0);
  await page.getByRole("button", { name: "Try again now" }).click();
  await page.getByRole("status").waitFor();
  await page.goto(base + "/message?id=" + messages.sent);
  assert.equal(await page.locator("main form").count(), 0, "what has left the queue has no buttons");
  await page.goto(base + "/policy");
  assert.equal(await page.locator("textarea").count(), 0);
  done(page, "A: support has a queued message tried again");
  await close(page);
}

{
  const page = await open("admin");
  await page.goto(base + "/queue");
  await has(page.locator("tbody"), "queued@far.example", "deferring@far.example");
  await page.getByLabel("Count by").selectOption({ label: "reason" });
  await page.getByRole("button", { name: "Show" }).click();
  await has(row(page, "asked to wait"), "1");
  await has(row(page, "not tried yet"), "1");
  await has(row(page, "frozen"), "1");
  await page.getByLabel("Count by").selectOption({ label: "age" });
  await page.getByRole("button", { name: "Show" }).click();
  await has(row(page, "less than 1 hour"), "3");
  await page.goto(base + "/queue?subject=shop.example&by=subject");
  await has(row(page, "shop.example"), "3");
  done(page, "the queue by owner, reason and age");

  await page.goto(base + "/message?id=" + messages.queued);
  await page.locator("summary", { hasText: "Redirect" }).click();
  await page.getByLabel("Address").fill("kim@private.example");
  await page.getByRole("button", { name: "Redirect" }).click();
  await page.getByRole("status").waitFor();
  await recorded(page, "redirected to kim@private.example by token:admin");
  await page.goto(base + "/message?id=" + messages.deferring);
  await page.locator("summary", { hasText: "Discard" }).click();
  await page.getByRole("button", { name: "Discard" }).click();
  await page.getByRole("status").waitFor();
  await recorded(page, "discarded by token:admin");
  done(page, "A: an admin redirects and discards messages");

  await page.goto(base + "/policy");
  const text = page.getByRole("textbox", { name: /Change the policy/ });
  assert.ok((await text.inputValue()).includes("\nmin_bad = 5\n"), "line by line");
  await text.fill((await text.inputValue()).replace("min_bad = 5", "min_bad = 3"));
  await page.getByRole("button", { name: "Show the difference" }).click();
  await has(row(page, "near.example"), "newly blocked", "3 of 3");
  await picture(page, "policy-tried");
  await accessible(page, "a tried policy");
  await text.fill("[rule.few]\nmin_bad = many\n");
  await page.getByRole("button", { name: "Show the difference" }).click();
  await page.getByRole("alert").getByText("policy:2:").waitFor();
  await page.goto(base + "/policy");
  assert.ok((await text.inputValue()).includes("min_bad = 5"), "the policy in force has not changed");
  done(page, "an admin tries a policy, sees whom it would have blocked, and where a mistake is");
  await close(page);
}

// Live, and by the keyboard.

{
  const page = await open("viewer");
  await page.getByText("Nothing waits for a person.").or(page.getByText("Needs a person")).waitFor();
  const streamed = page.waitForResponse((answer) => answer.url().endsWith("/live"));
  await page.reload();
  await streamed;
  execFileSync(process.env.CONSOLE_DEFERCTL, ["block", "live.example", "--for", "1h", "--reason", "a test"]);
  await page.getByRole("link", { name: "live.example" }).waitFor();
  done(page, "a block appears without a reload");

  await page.goto(base + "/");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  await close(page);
}

{
  const page = await open("support");
  // To what the Tab key reaches, until it is there; the browser shows where it is.
  const tabTo = async (wanted) => {
    for (let i = 0; i < 80; ++i) {
      await page.keyboard.press("Tab");
      const [text, outline] = await page.evaluate(() => {
        const at = document.activeElement;
        return [at.getAttribute("aria-label") || at.textContent.trim(), getComputedStyle(at).outlineStyle];
      });
      assert.notEqual(outline, "none", `where the keyboard is, is shown at ${text}`);
      if (text === wanted) return;
    }
    assert.fail(`the keyboard does not reach ${wanted}`);
  };
  await tabTo("Find a subject");
  await page.keyboard.type("live.example");
  await page.keyboard.press("Enter");
  await page.getByText("CANNOT SEND").waitFor();
  await tabTo("Unblock");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await page.keyboard.type("by keyboard");
  await page.keyboard.press("Enter");
  await page.getByRole("status").waitFor();
  await page.getByText("CAN SEND").waitFor();
  await tabTo("Log out");
  await page.keyboard.press("Enter");
  await page.waitForURL(base + "/login");
  await page.goto(base + "/policy");
  assert.equal(new URL(page.url()).pathname, "/login");
  done(page, "the keyboard alone: find, read, unblock, log out; who logged out is out");
  await close(page);
}

{
  const page = await open("reseller");
  await page.goto(base + "/subject?name=bad.example");
  await page.getByRole("alert").getByText("is for other domains").waitFor();
  await page.goto(base + "/message?id=" + messages.bad);
  assert.equal(await page.getByText("bob@bad.example").count(), 0);
  await page.goto(base + "/");
  assert.equal(await page.getByText("bad.example").count(), 0);
  assert.equal(await page.getByText("near.example").count(), 0);
  await page.goto(base + "/subject?name=shop.example");
  await has(page.locator("main"), "shop.example", "failed@far.example");
  await page.goto(base + "/queue");
  assert.equal(await page.locator("tbody").count(), 0, "the queue is the whole server's");
  done(page, "a reseller sees his domains and nobody else's");
  await close(page);
}

// The owner's page: no log-in, no script, one case.

{
  const deferctl = (input, ...words) => execFileSync(process.env.CONSOLE_DEFERCTL, ["--json", ...words], { input, encoding: "utf8" });
  const records = [...Array(8).keys()].map((number) => ({
    id: `full${number}`, recipient: `full${number}@far.example`, login: "lea@full.example", sender: "lea@full.example",
    outcome: "failed", reply: `552 5.2.2 Mailbox full${number === 0 ? " <img src=x onerror=alert(1)>" : ""}`,
  }));
  deferctl(records.map((one) => JSON.stringify(one)).join("\n") + "\n", "record", "-");
  const path = new URL(JSON.parse(deferctl("", "link", "make", "full.example")).link).pathname;
  for (const options of [{ colorScheme: "light" }, { colorScheme: "dark" }, { viewport: { width: 360, height: 740 } }]) {
    const page = await visit(path, options);
    const banner = page.locator(".banner");
    await has(banner, "full.example", "mailboxes are full", "CASE");
    await has(page.locator("main"), "What to do", "full0@far.example", "552 5.2.2");
    assert.equal(await page.locator("script").count(), 0);
    assert.equal(await page.getByText("bad.example").count(), 0, "nothing of others");
    const narrow = options.viewport !== undefined;
    await picture(page, narrow ? "owner-narrow" : `owner-${options.colorScheme}`);
    if (options.colorScheme === "light") await manualPicture(page, "owner");
    await accessible(page, `owner, ${JSON.stringify(options)}`);
    if (narrow) {
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= 360, `the owner's page is ${wide} pixels wide at 360`);
      await page.getByRole("button", { name: "Release" }).click();
      await page.getByText("the block has ended").waitFor();
    }
    done(page, `the owner's page, ${JSON.stringify(options)}`);
    await close(page);
  }
  assert.equal(JSON.parse(deferctl("", "check", "full.example")).verdict, "pass");
}

await browser.close();
