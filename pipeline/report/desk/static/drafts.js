// What is being written survives a reload, a crash and a desk that was restarted: it is kept in this browser
// until the desk has recorded it. The form's own identifier is kept with it, so that a word which was recorded
// but never answered is not recorded twice.
const FIELDS = ["decision", "reason", "note", "railcars", "missed", "form_id"];

function read(form) {
  const draft = {};
  for (const name of FIELDS) {
    const field = form.elements[name];
    if (field) draft[name] = field.value;
  }
  draft.off = [...form.querySelectorAll("input[name=car]:not(:checked)")].map((box) => box.value);
  return draft;
}

function isEmpty(draft, fresh) {
  return ["decision", "reason", "note", "railcars", "missed"].every((name) => (draft[name] ?? "") === (fresh[name] ?? "")) && !draft.off.length;
}

function write(form, draft) {
  for (const name of FIELDS) {
    const field = form.elements[name];
    if (field && draft[name] !== undefined) field.value = draft[name];
  }
  for (const box of form.querySelectorAll("input[name=car]")) box.checked = !draft.off.includes(box.value);
}

export function setUpDraft(panel) {
  const form = panel?.querySelector("form[data-draft]");
  if (!form) return;
  const key = `railwatch:draft:${document.body.dataset.site}:${panel.dataset.subject}`;
  const state = form.querySelector("[data-draft-state]");
  if (panel.dataset.recorded) localStorage.removeItem(key);
  const fresh = { ...read(form), off: [] };
  const kept = localStorage.getItem(key);
  if (kept) {
    try {
      write(form, JSON.parse(kept));
      state.textContent = "Your draft was kept; it is not sent yet.";
    } catch {
      localStorage.removeItem(key); // not written by this page
    }
  }
  const keep = () => {
    const draft = read(form);
    if (isEmpty(draft, fresh)) {
      localStorage.removeItem(key);
      state.textContent = "";
    } else {
      localStorage.setItem(key, JSON.stringify(draft));
      state.textContent = "Draft kept in this browser.";
    }
  };
  form.addEventListener("input", keep);
  form.addEventListener("change", keep);
}
