// Refreshes the page when something changed, and tells the log-in page's form the reader's zone.
// Everything works without it.
"use strict";

const zone = document.querySelector("[data-zone]");
if (zone) zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "";

const live = document.querySelector("[data-live]");
if (live && window.EventSource) {
  const source = new EventSource("/live");
  let asked = false;
  // A person who is writing, or has opened an action, is not disturbed.
  const busy = () =>
    document.querySelector("details[open]") ||
    (document.activeElement && document.activeElement.closest("main form"));
  const refresh = async () => {
    if (asked || busy()) return;
    asked = true;
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      if (!answer.ok || answer.redirected) return;
      const text = await answer.text();
      const next = new DOMParser().parseFromString(text, "text/html");
      const main = next.getElementById("main");
      if (main && !busy()) document.getElementById("main").replaceWith(main);
    } finally {
      asked = false;
    }
  };
  source.addEventListener("change", refresh);
  addEventListener("pagehide", () => source.close());
}
