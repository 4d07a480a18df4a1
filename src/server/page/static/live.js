// SPDX-License-Identifier: Apache-2.0
// The connection to the daemon: server-sent events, else questions every five seconds,
// and the word for how it stands. While the page is not looked at, nobody is asked.

import { element, put } from "./text.js";

const PATIENCE = 8000;
const POLL = 5000;
const AGAIN = 30000;

const WORDS = {
  wait: "connecting",
  live: "live",
  poll: "every 5 s",
  lost: "not connected, retrying",
};

export const say = (text) => put("say", text);

export async function ask(path) {
  const answer = await fetch(path, { headers: { accept: "application/json" } });
  const body = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(body.error ?? answer.statusText), { status: answer.status });
  return body;
}

// `now` gets what is drawn now, `slot` the last five seconds, `begin` is called at each
// (new) connection.
export function connect({ now, slot, begin }) {
  let source = null;
  let heard = performance.now();
  let state = "wait";
  let polling = null;
  let release = null;

  function show(next) {
    if (next === state) return;
    if (next === "lost") say("Not connected to the meter. Trying again.");
    else if (state === "lost") say("Connected again.");
    state = next;
    element("link").dataset.link = next;
    put("link", WORDS[next]);
  }

  function take(body, word) {
    // Another release has other files.
    release ??= body.release;
    if (release !== body.release) location.reload();
    heard = performance.now();
    const again = state === "lost" || state === "wait";
    show(word);
    if (again) begin();
    now(body);
  }

  async function poll() {
    try {
      take(await ask("/api/v1/now"), "poll");
    } catch {
      show("lost");
    }
  }

  function stopPolling() {
    clearInterval(polling);
    polling = null;
  }

  function open() {
    source = new EventSource("/api/v1/events");
    source.addEventListener("now", (event) => {
      stopPolling();
      take(JSON.parse(event.data), "live");
    });
    source.addEventListener("slot", (event) => slot?.(JSON.parse(event.data)));
    source.addEventListener("error", () => {
      // Closed for good: too many listen, or the daemon answers with an error.
      if (source?.readyState !== EventSource.CLOSED) return;
      close();
      polling ??= setInterval(poll, POLL);
      poll();
      setTimeout(() => polling && !source && !document.hidden && open(), AGAIN);
    });
  }

  function close() {
    source?.close();
    source = null;
  }

  function look() {
    if (document.hidden) {
      stopPolling();
      close();
    } else if (!source) {
      heard = performance.now();
      begin();
      open();
    }
  }

  const watch = setInterval(() => {
    if (!document.hidden && performance.now() - heard > PATIENCE) show("lost");
  }, 1000);
  const end = new AbortController();
  document.addEventListener("visibilitychange", look, { signal: end.signal });
  addEventListener("pagehide", close, { signal: end.signal });
  // Back from the browser's memory of pages.
  addEventListener("pageshow", (event) => event.persisted && look(), { signal: end.signal });
  open();
  return () => {
    end.abort();
    clearInterval(watch);
    stopPolling();
    close();
  };
}
