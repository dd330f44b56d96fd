// Entry: keyboard shortcuts, the list of them, and watching for words of others.
import { setUpViewer } from "./viewer.js";
import { setUpDraft } from "./drafts.js";
import { setUpRecount } from "./recount.js";

document.documentElement.classList.add("scripted");
const $ = (selector, root = document) => root.querySelector(selector);
const POLL_MS = 5000;
const KEYS_OFF = "railwatch:keys-off";
let viewer = null;
let pending = ""; // first key of a two-key shortcut

function setUp() {
  viewer = setUpViewer($("#viewer"));
  setUpDraft($("#panel"));
  setUpRecount($("#panel"), $("#viewer"), viewer);
}

function press(selector) {
  const target = $(selector);
  if (!target) return false;
  target.focus();
  if (target.matches("input[type=radio]")) target.click();
  return true;
}

function moveInQueue(step) {
  const links = [...document.querySelectorAll("#queue h2 a")];
  if (!links.length) return false;
  const at = links.indexOf(document.activeElement);
  const next = at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + step, 0), links.length - 1);
  links[next].focus();
  return true;
}

function follow(key) {
  const link = $(`a[data-key="${key}"]`);
  if (link) link.click();
  return Boolean(link);
}

const SHORTCUTS = {
  "?": () => ($("#keys").showModal(), true),
  "g q": () => follow("g q"),
  "g w": () => follow("g w"),
  j: () => moveInQueue(1),
  k: () => moveInQueue(-1),
  c: () => press("#decide-confirm"),
  r: () => press("#decide-reject") && press("#reason"),
  n: () => press("#note"),
  u: () => press("#undo"),
  e: () => follow("e"),
};

function typing(target) {
  return target.matches("textarea, select, input:not([type=checkbox]):not([type=radio]):not([type=range])");
}

document.addEventListener("keydown", (event) => {
  const form = event.target.closest?.("form.word");
  const typed = event.target.id === "railcars";
  if (event.key === "Enter" && form && (event.ctrlKey || event.metaKey || typed)) {
    event.preventDefault();
    $(typed ? "#send-typed" : "button.primary", form).click();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || $("#keys")?.open) return;
  if (event.key === "Escape" && typing(event.target)) return event.target.blur();
  if (typing(event.target) || !$("#keys") || localStorage.getItem(KEYS_OFF)) return;
  const chord = pending ? `${pending} ${event.key}` : event.key;
  pending = !pending && event.key === "g" ? "g" : "";
  const done = SHORTCUTS[chord]?.() || viewer?.key(event);
  if (done) event.preventDefault();
});

$("#keys-open")?.addEventListener("click", () => $("#keys").showModal());
const keysOn = $("#keys-on");
if (keysOn) {
  keysOn.checked = !localStorage.getItem(KEYS_OFF);
  keysOn.addEventListener("change", () =>
    keysOn.checked ? localStorage.removeItem(KEYS_OFF) : localStorage.setItem(KEYS_OFF, "1"),
  );
}

document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id === "viewer") viewer = setUpViewer($("#viewer"), viewer);
  if (event.detail.target.id === "panel") {
    setUpDraft($("#panel"));
    setUpRecount($("#panel"), $("#viewer"), viewer);
    $("#result").focus();
  }
  if (event.detail.target.id !== "notice" && event.detail.target.id !== "meanwhile") $("#notice").replaceChildren();
});
document.addEventListener("htmx:sendError", () => {
  const line = document.createElement("p");
  line.className = "error";
  line.textContent = "The desk does not answer; it may have been stopped. What you wrote is kept in this browser.";
  $("#notice").replaceChildren(line);
});

setInterval(() => {
  const watch = $("#meanwhile");
  if (watch && document.visibilityState === "visible") window.htmx.trigger(watch, "refresh");
}, POLL_MS);

// the address of a page after a redirect says that a word was taken; a later reload must not say it again
if (new URL(location).searchParams.has("said")) history.replaceState(null, "", location.pathname);
setUp();
document.documentElement.dataset.ready = "";
