"use strict";
// Parts of the page come as the server wrote them, escaped there; the page's policy runs no script in them.
const main = document.querySelector("main[data-events]");
let source = null;

// Where a picture is wider than the screen, its latest part is shown.
function showLatest() {
  for (const wide of document.querySelectorAll(".scroll")) wide.scrollLeft = wide.scrollWidth;
}
showLatest();

function show({data}) {
  const {parts, ids} = JSON.parse(data);
  const shown = [...main.querySelectorAll("[data-part]")].map((part) => part.id);
  if (ids.join() !== shown.join()) return location.reload();
  for (const [id, html] of Object.entries(parts)) document.getElementById(id).innerHTML = html;
  if ("history" in parts) showLatest();
}

// A browser has few connections to one host: a page that nobody sees needs none.
function follow() {
  if (document.hidden || !main) {
    source?.close();
    source = null;
  } else if (!source) {
    source = new EventSource(main.dataset.events);
    source.onopen = () => document.body.classList.add("live");
    source.onerror = () => document.body.classList.remove("live");
    source.onmessage = show;
  }
}
document.addEventListener("visibilitychange", follow);
window.addEventListener("pagehide", () => source?.close());
follow();

document.getElementById("filter")?.addEventListener("input", ({target}) => {
  for (const card of document.querySelectorAll(".cards article")) {
    const name = card.querySelector("h3").textContent.toLowerCase();
    card.hidden = !name.includes(target.value.toLowerCase());
  }
});

const ask = document.getElementById("ask");
ask?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const {rows, proba, answer} = ask.elements;
  try {
    const said = await fetch(ask.action + (proba?.checked ? "?proba=true" : ""), {
      method: "POST", body: rows.value, headers: {"content-type": "application/json"},
    });
    const version = said.headers.get("x-model-version") ?? said.status;
    answer.value = `${version}: ${await said.text()}`;
  } catch (error) {
    answer.value = error;
  }
});
