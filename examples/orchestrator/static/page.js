"use strict";
// Forms are sent as JSON, under a key, so that sending one twice does it once. Events come by an EventSource, which goes
// on behind the last it had; what changes of the page is then fetched again.

const live = document.getElementById("live");
const events = document.getElementById("events");
const connection = document.getElementById("connection");
const MOST_EVENTS = 100;
const REFRESH_EVERY = 250; // milliseconds

function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (one) => one.toString(16).padStart(2, "0")).join("");
}

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const [button, output] = [form.querySelector("button"), form.querySelector("output")];
  button.disabled = true;
  output.textContent = "";
  try {
    const answer = await fetch(form.getAttribute("action"), {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": form.dataset.key },
      body: JSON.stringify(Object.fromEntries(new FormData(form))),
    });
    if (!answer.ok) {
      output.textContent = (await answer.json()).detail;
    } else if (answer.headers.has("Location")) {
      location.assign(answer.headers.get("Location"));
    } else {
      form.reset();
      form.dataset.key = newKey();
    }
  } catch {
    output.textContent = "The service cannot be reached. Send it again.";
  } finally {
    button.disabled = false;
  }
});

let asked = false;

async function refresh() {
  if (asked) return;
  asked = true;
  await new Promise((go) => setTimeout(go, REFRESH_EVERY));
  asked = false;
  try {
    const answer = await fetch(live.dataset.url);
    if (!answer.ok) return;
    const focused = live.contains(document.activeElement) ? document.activeElement.id : "";
    live.innerHTML = await answer.text(); // made by a template that escapes
    if (focused) document.getElementById(focused)?.focus();
  } catch {
    // the stream connects again, and then this is asked for
  }
}

function show(message) {
  const told = JSON.parse(message.data);
  const [item, time] = [document.createElement("li"), document.createElement("time")];
  time.dateTime = told.at;
  time.textContent = new Date(told.at).toLocaleTimeString();
  item.append(time, " ", told.sentence);
  events.prepend(item);
  if (events.children.length > MOST_EVENTS) events.lastChild.remove();
  refresh();
}

if (events) {
  const source = new EventSource(events.dataset.url);
  source.onmessage = show;
  source.onopen = () => { connection.textContent = "live"; connection.className = "on"; refresh(); };
  source.onerror = () => { connection.textContent = "connecting again"; connection.className = ""; };
}
